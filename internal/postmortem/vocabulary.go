package postmortem

import "github.com/refloat-db/refloat/internal/postmortem/prose"

// The classes of words that readers and rules ask for. Topics follow them.
const (
	outageWord prose.Class = iota
	serviceWord
	beginWord
	failWord
	detectWord
	ackWord
	mitigateWord
	resolveWord
	negation
	praiseWord
	blameWord
	limitedWord // a part only: "read traffic", "for some"
	objectiveWord
	metWord
	missedWord
	lossWord
	restoreSource // restored from a backup
	replayWord    // log was replayed after it
	standbyWord
	asyncWord
	trainWord
	documentWord
	watchWord
	buildWord
	testWord
	talkWord
	vagueVerb
	recurWord
	hindsightWord
	personWord
	cadenceWord
	loosely // "around", "minimal", "quickly": where a figure belongs
	helpWord
	firstTopic // topics are from here on
)

// Topics that reports speak of.
const (
	topicBackup prose.Class = firstTopic + iota
	topicRestore
	topicDetection
	topicCommunication
	topicDocumentation
	topicTraining
	topicFailover
	topicCapacity
	topicDisk
	topicAccess
	topicDeploy
	topicConfig
	topicNetwork
	topicCertificate
	topicDNS
	topicCode
	topicOnCall
	topicVendor
	topicCache
	topicQueue
	topicLock
	topicMigration
	topicLog
	topicTest
	topicConnections
	topicReplication
	topicLoad
	topicHardware
	topicTime
	topicSecurity
	topicDelete
	topicQuery
	topicRetry
	topicDependency
	topicRegion
	topicStatusPage
	topicHandover
	topicSchedule
	topicRollback
	topicTeamwork
	topicVacuum
	topicMemory
	lastTopic
)

var topicNames = map[prose.Class]string{
	topicBackup: "backups", topicRestore: "restoring", topicDetection: "detection", topicCommunication: "communication", topicDocumentation: "documentation",
	topicTraining: "training", topicFailover: "failover", topicCapacity: "capacity", topicDisk: "disks", topicAccess: "access", topicDeploy: "deployment",
	topicConfig: "configuration", topicNetwork: "the network", topicCertificate: "certificates", topicDNS: "DNS", topicCode: "the code", topicOnCall: "on-call",
	topicVendor: "the vendor", topicCache: "the cache", topicQueue: "queues", topicLock: "locks", topicMigration: "migrations", topicLog: "the log", topicTest: "testing",
	topicConnections: "connections", topicReplication: "replication", topicLoad: "load", topicHardware: "hardware", topicTime: "clocks", topicSecurity: "security",
	topicDelete: "deletion", topicQuery: "queries", topicRetry: "retries", topicDependency: "dependencies", topicRegion: "regions", topicStatusPage: "the status page",
	topicHandover: "hand-over", topicSchedule: "scheduled jobs", topicRollback: "rollback", topicTeamwork: "teamwork", topicVacuum: "vacuum", topicMemory: "memory",
}

// vocabulary is the words of reports, by what they speak of.
func vocabulary() []prose.Entry {
	return []prose.Entry{
		{Class: outageWord, Phrases: "outage*|incident*|downtime|disruption*|unavailab*|interruption*|degrad*|impact*|failure*|problem*|event|issue|errors"},
		{Class: serviceWord, Phrases: "service*|database*|db|server*|cluster*|primary|site|system*|platform*|api*|application*|app|website|production|shop|store|checkout|portal|instance|everything|we|node|host|access|postgres*|mysql|writes|traffic|customers|clients|users|logins|login|payments|orders|function*|operation*"},
		{Class: beginWord, Phrases: "began|begin*|start*|commenc*|onset|occur*|kicked off|set in"},
		{Class: failWord, Phrases: "failed|fails|failing|stop|read-only|crash*|went down|goes down|go down|going down|panic*|died|dies|stopped|stops|became unavailable|becomes unavailable|became unreachable|became unresponsive|refused|refuses|went offline|goes offline|offline|connection was lost|node was lost|host was lost|went dark|unreachable|unresponsive|ran out|runs out|filled up|full|rejected|timing out|timed out|time out|5xx|5xxs|500s|errors|error rate|broke|breaks|hung|hangs|dropped|corrupt*|expired|expires|down"},
		{Class: detectWord, Phrases: "first report|page sent|page is sent|detect*|notic*|discover*|alert*|paged|pages|page fires|page fired|pager*|spotted|alarm*|monitoring|reported|report|reports|complain*|ticket|tickets|identified|realis*|realiz*|observed|observes|found out|first call|calls in|called in|probe|monitor|saw|told us|tells us|informs|informed us|learned of|learnt of|learned about|learnt about|heard of"},
		{Class: ackWord, Phrases: "took the call|takes the call|acknowledg*|acked|acks|ack|picked up|picks up|took the page|takes the page|responded|responds|joined|joins|joining|on-call engineer is|logs in|logged in|answered|answers|engaged|on it|at the keyboard|incident opened|opens an incident|war room|bridge|starts looking|started looking|begins to look|began to look|begins investigat*|began investigat*|started investigat*|starts investigat*|investigation begins|investigation began|investigating"},
		{Class: mitigateWord, Phrases: "mitigat*|workaround*|contained|stabilis*|stabiliz*|rolled back|rolls back|rollback|promoted|promotes|failed over|fails over|failover|traffic moved|traffic shifted|reads return*|reads restored|read-only mode|partial service|partially restored|throttl*|blocked the|scaled|disabled|disables|killed the|kills the|cancelled|canceled|rolled forward|rolls forward|job was ended|query was ended|session was ended|switched back|reverted|terminated|restarted|restarts|first orders|first writes|accepts writes|accepting writes|bleeding|shed*|drain*"},
		{Class: resolveWord, Phrases: "resolv*|restor*|recover*|back to normal|all clear|all-clear|back online|fully operational|back up|back in service|up again|closed|closes|end of|ended|ends|end|is over|was over|outage over|incident over|normal*|resumed|resumes|service returns|returned|returns|available again|back|reopened|healthy|complete|completed|fixed|green|stood down|stand down|recuper*|online|operational|working again|worked again|works again|return to service|cleared|clears|succeed*|open again"},
		{Class: negation, Phrases: "no|not|never|without|none|nobody|nothing|neither|nor|cannot|didn't|don't|doesn't|wasn't|weren't|isn't|aren't|couldn't|can't|won't|hadn't|hasn't|haven't|didn’t|don’t|doesn’t|wasn’t|weren’t|isn’t|aren’t|couldn’t|can’t|hadn’t|hasn’t|haven’t|failed to|lack*|absen*|zero|hardly|barely|instead of|rather than"},
		{Class: praiseWord, Phrases: "well|good|great|excellent*|smooth*|effective*|quick*|prompt*|fast|clear|clearly|helped|helpful|worked|works|succes*|exemplary|strong|efficient*|seamless*|timely|swift*|in time|on time|immediate*|within minutes|within a minute|regular|calm*|reliabl*|saved us|saved|paid off|outstanding|close*|together|tight*|rapid*|straight away|right away|at once|as designed|as intended|as expected|flawless*|correct*|up to date|accurate*|right|first try|good shape|exactly"},
		{Class: blameWord, Phrases: "poor*|bad|badly|broke down|break down|breakdown*|broken down|broken|failed|fail|failure*|fails|slow*|late|delay*|insufficient*|inadequa*|unclear|confus*|lack*|missing|nobody|no one|none|did not|didn't|didn’t|never|gap*|weak*|thin|incomplete*|outdated|out of date|stale|chaotic|chaos|patchy|difficult*|hard|noisy|absent|scattered|hamper*|suffer*|struggl*|not enough|too late|too long|too slow|too many|too few|was not|were not|wasn't|weren't|had no|no|without|hinder*|disjointed|fell apart|fell short|collapsed|uncoordinated|misunderst*|contradict*|inconsisten*|wrong|unreliab*|could not|couldn't|silent|unaware|duplicated|only after|only when|by hand|undocumented|untested|old|problem*|neglect*|deficien*|inefficient*|ineffective*|nowhere"},
		{Class: limitedWord, Phrases: "read|reads|write|writes|replica*|standby|partial*|degraded|some|further|another|additional|region|replay*|restor* took|backup*|copy|copying|download*|rebuild*|queue|backlog|migration|index|lag|eu|us|internal|test*|staging|job*|script*|build*|deploy*|of data|of orders|of transactions|of writes|worth|each|average|median|planned|window|typical*|usual*|normally|previous|last|earlier|expected|estimate*|would|could|might|first|second|export*|import*|catch*|drain*|a day|per|retention|dns|ttl|timeout|cache|warm*|handover|hand-over|meeting|call|template"},
		{Class: objectiveWord, Phrases: "objective*|target|targets|goal*|rto|rpo|slo|slos|sla|slas|promise*|indicator*|kpi*|commitment*|committed to|agreed|allowed|allowance|aim|aims|aimed|budget|threshold|required|requirement*"},
		{Class: metWord, Phrases: "met|achieved|fulfil*|kept|reached|satisf*|within target|within the target|within objective|within the objective|on target|pass|passed|yes|hit|ok|✓|✔|✅|attained|accomplished|honoured|honored|attain*|inside the objective|inside the target|inside target|beaten|beat|successful*"},
		{Class: missedWord, Phrases: "missed|not met|not achieved|not fulfilled|not kept|not reached|unmet|miss|fail|failed|breach*|violat*|exceeded|not satisfied|✗|✘|❌|no|overrun|overran|broken|not successful|was not|were not|wasn't|outside"},
		{Class: lossWord, Phrases: "data loss|loss of data|lost data|data was lost|data were lost|data is lost|data has been lost|data lost|lost|losing data|lose data|loses data|rpo|unrecoverable|irrecoverab*|could not be recovered|could not be restored|was gone|were gone"},
		{Class: restoreSource, Phrases: "from backup|from backups|from the backup|from a backup|from last night's backup|from last night’s backup|from the nightly|from the previous|from yesterday's|from yesterday’s|from the latest backup|from the last backup|from the most recent backup|from our backup|from the last good backup|from the last known good|from the last dump|from dump|from the dump|from a dump|from last night's dump|from last night’s dump|from the latest dump|from snapshot|from a snapshot|from the snapshot|from the last snapshot|from the latest snapshot|from the weekly|from the daily|from the midnight|from an older|from the older|from the base backup|from base backup|from the full backup|from the logical|from last night|from the night before|from last week*|from the backup taken|from the backup of|from a full backup|from the most recent snapshot|from the hourly|from the nightly backup|from nightly|from the off-site|from offsite|from cold|backup restored|restored the backup|restored last night's|restored last night’s|restored the nightly|restored the dump|restore the dump|restores the dump|restoring the dump|restore of the dump|restored the snapshot|restore the snapshot|restoring the snapshot|restored a backup|restore the backup|restoring the backup|restore of the backup|restore of last night's|nightly dump|nightly backup"},
		{Class: replayWord, Phrases: "continuous log|and the log|the log since|log since|all log|the log reached|log was complete|log is complete|replay*|point-in-time|point in time|pitr|wal archive|wal segments|archived wal|wal up to|log replay|binlog*|binary log*|transaction log*|logs up to|log up to|roll forward|rolled forward|rolling forward|up to the last|last transaction|last committed|wal was|all wal|the wal|to the moment|to the second|event log|re-entered|re-applied|reapplied|re-imported|re-played|reconstructed|journal|journals|from the queue|kafka"},
		{Class: standbyWord, Phrases: "standby*|replica*|secondary|secondaries|follower*|failover|failed over|fail over|promot*"},
		{Class: asyncWord, Phrases: "async*|lag|lags|lagged|lagging|behind|not caught up|unreplicated|not replicated|not yet replicated"},
		{Class: trainWord, Phrases: "train|training*|trained|workshop*|course*|educat*|teach|training session*|learning session*|onboard*|exercise*|tabletop*|game day*|gameday*|rehears*|practis*|practic*|drill|drills|brown bag|awareness|lunch and learn|coach*|brief|briefing*|simulat*|shadow*|learn"},
		{Class: documentWord, Phrases: "document|documents|documented|documentation|documenting|runbook*|playbook*|wiki|write down|written down|write up|manual*|guide|guides|guideline*|handbook*|procedure*|checklist*|sop|sops|readme|diagram*|update the page|knowledge base|policy|policies|template*|how-to|instructions"},
		{Class: watchWord, Phrases: "monitor*|alert*|alarm*|dashboard*|observab*|metric*|probe|probes|page when|page on|page at|page if|page someone|page after|page as soon|page the|paging|notif*|detect*|watch|watches|heartbeat*|synthetic|tracing|logging|log when|report on|visib*|canary check|warn*|health check*|healthcheck*"},
		{Class: buildWord, Phrases: "add|fix|replace|remove|enable|set|change|configure|reconfigure|correct|upgrade|patch|automate|enforce|move|migrate|limit|increase|raise|lower|reduce|rewrite|refactor|implement|build|deploy|install|encrypt|rotate|split|separate|isolate|restrict|revoke|require|block|prevent|switch|introduce|provision|delete|drop|repair|rebuild|roll out|rollout|turn on|turn off|disable|cap|throttle|cache|validate|gate|guard|protect|lock|unlock|pin|scale|double|cut|store|copy|ship|keep|make|put|use|create|extend|stop|harden|fixed|added|replaced|enabled|configured|corrected|automated|enforced|rolled out|installed|moved|implemented|introduced|bind|wire|connect|adopt|convert|reserve|partition|archive|stagger|backport|bump|bring|run|renew|reject|refuse|fence|switch*|connect*|give"},
		{Class: testWord, Phrases: "test|tests|tested|testing|verify|verified|verification|restore drill*|restore test*|restore-test*|drill*|rehears*|validate|validat*|chaos|failover test*|load test*|prove|proof|check|checks|checked|ci"},
		{Class: talkWord, Phrases: "communicat*|status page|update clients|update customers|inform|tell|announce*|channel|escalat*|contact*|call tree|liaison|stakeholder*|bridge|war room|notify|message*|hand-over|handover|hand over|commander|incident role*|rota"},
		{Class: vagueVerb, Phrases: "improve|improved|improving|improvement*|consider|considering|investigate|look into|explore|evaluate|enhance|enhanc*|strengthen*|better|review|think about|discuss|be more careful|pay more attention|try to|optimise|optimize|streamline|raise awareness|foster|encourage|encouraged|ensure|make sure|assess|analyse|analyze|examine|study|revisit|rethink|work on|focus on|increase awareness|look at|reconsider|address|be careful|more attention|investigat*|monitor closely|keep an eye|remind"},
		{Class: recurWord, Phrases: "regular|regularly|recurring|periodic*|quarterly|monthly|weekly|daily|yearly|annual*|every|each month|each quarter|each week|each year|each sprint|ongoing|continuous training|continuously train|frequent*|from time to time|twice a year|twice a month|twice a week|twice a quarter|once a month|once a quarter|once a week|once a year|biweekly|bi-weekly|fortnightly|routinely|per quarter|per month|bimonthly|half-yearly|biannual*|semi-annual*|nightly|hourly|on a regular basis"},
		{Class: cadenceWord, Phrases: "quarterly|monthly|weekly|daily|yearly|annual|annually|every|each month|each quarter|each week|each year|each sprint|each release|each deploy*|twice a year|twice a month|twice a week|twice a quarter|once a month|once a quarter|once a week|once a year|biweekly|bi-weekly|fortnightly|per quarter|per month|per week|per year|bimonthly|half-yearly|biannual*|semi-annual*|nightly|hourly|mondays|tuesdays|wednesdays|thursdays|fridays|first monday|first tuesday|first wednesday|first thursday|first friday|on call rotation"},
		{Class: hindsightWord, Phrases: "should have|should've|should’ve|shouldn't have|shouldn’t have|should not have|should never have|could easily have|could have easily|could easily be|if only|obviously|obvious|clearly should|would have been easy|would have been simple|in hindsight|with hindsight|simply forgot|simply failed|ought to have|could have been avoided|could have been prevented|would never have happened|any competent|everyone knew|everybody knew|it was clear that|must have known|had only to|would have easily|would easily have|needed only to|common sense|as anyone|plainly|if they had just|if he had just|if she had just|if we had just|had they only|had he only|had she only"},
		{Class: loosely, Phrases: "minimal|minimum|minimise|minimize|minimised|minimized|little|low|acceptable|fast|quick|quickly|as soon as possible|asap|timely|prompt|promptly|rapid|rapidly|swift|swiftly|reasonable|short|limited|negligible|small|good|high|best|early|soon|as possible|as little|as few|as fast|as quickly|immediately|immediate|near zero|near-zero|close to zero|sufficient|adequate|almost no|hardly any|speedy|speedily|without delay"},
		{Class: helpWord, Phrases: "helped|thanks to|fortunately|luckily|saved"},
	}
}
