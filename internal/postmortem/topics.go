package postmortem

import (
	"sort"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// topicWords are the phrases by which a topic is known.
func topicWords() []prose.Entry {
	return []prose.Entry{
		{Class: topicBackup, Phrases: "backup*|back-up*|back up of|snapshot*|dump|dumps|pg_dump*|basebackup|base backup*|archive_command|archiv*|retention|pgbackrest|barman|wal-g|restic|bucket"},
		{Class: topicRestore, Phrases: "restore*|restoring|restoration|recovery|recover|recovered|recovering|point-in-time|pitr|rebuild*"},
		{Class: topicDetection, Phrases: "we learned of|we learnt of|we heard of|monitor*|alert*|alarm*|detect*|notic*|dashboard*|observab*|metric|metrics|probe|probes|pager|paging|paged|page|pages|undetected|unnoticed|tells us|tell us|told anyone|told anybody|tells anyone|tells nobody|reported to anyone|reported to anybody|reported to nobody|reported to no one|nobody heard|nobody hears|nobody saw|nobody sees|silently|no one is told|nobody is told|without being told|without telling|synthetic*|visib*|health check*|healthcheck*|heartbeat*"},
		{Class: topicCommunication, Phrases: "status page*|statuspage*|did not know of|nobody knew of|knew of the|knew nothing|was not told|were not told|not informed|learned of|learnt of|communicat*|inform|informed|informing|updates to|stakeholder*|told|announc*|customer update*|status update*|client update*|messaging|notification*|channel|channels|war room|bridge|said to clients|information flow|flow of information|misunderst*|coordinat*|call tree|escalation tree|contact list*|liaison"},
		{Class: topicDocumentation, Phrases: "document*|runbook*|playbook*|wiki|procedure*|manual|manuals|instructions|written down|handbook*|checklist*|guide|guides|diagram*|readme"},
		{Class: topicTraining, Phrases: "training*|trained|train|untrained|practis*|practic*|exercise*|rehears*|workshop*|game day*|gameday*|tabletop*|experience*|knowledge|skills|unfamiliar|never done|never run|training drill*|fire drill*"},
		{Class: topicFailover, Phrases: "failover*|fail over|failed over|fails over|promot*|standby*|split brain|split-brain|quorum|fencing|fence*|patroni|repmgr|leader election|switchover*|redundan*|high availability|single point of failure"},
		{Class: topicCapacity, Phrases: "capacity|headroom|scal*|limits|quota*|exhaust*|saturat*|sizing|provision*|ran out|out of space|overload*"},
		{Class: topicDisk, Phrases: "disk*|volume*|file system*|filesystem*|storage|space|pg_wal|partition|full disk|free space|raid|ssd|nvme"},
		{Class: topicAccess, Phrases: "permission*|access|privilege*|credential*|password*|role|roles|superuser|grant*|token*|secret|secrets|key|keys|iam|account|accounts|vpn|sso|locked out|bastion|admin rights"},
		{Class: topicDeploy, Phrases: "deploy*|release*|rollout*|rolled out|roll out|canary|canaries|pipeline*|ci|feature flag*|shipped|launch*|staged"},
		{Class: topicConfig, Phrases: "config*|misconfig*|setting|settings|parameter*|terraform|ansible|helm|yaml|ini file|default value|environment variable*|puppet|chef|manifest*"},
		{Class: topicNetwork, Phrases: "network*|router*|switch*|firewall*|load balancer*|packet*|bgp|vlan|link|latency|proxy|proxies|haproxy|mtu|routing|route|routes|subnet*|security group*"},
		{Class: topicCertificate, Phrases: "certificate*|cert|certs|tls|ssl|renew*|expiry|acme|certbot|expir*|ca bundle"},
		{Class: topicDNS, Phrases: "dns|resolver*|nameserver*|name server*|domain*|ttl|zone file*|record set|cname"},
		{Class: topicCode, Phrases: "bug|bugs|defect*|code|null pointer|exception*|race condition*|regression*|memory leak*|leak*|panic|panics|off-by-one|logic|unhandled|parser|regex*"},
		{Class: topicOnCall, Phrases: "on-call|oncall|on call|rota|rotation*|escalat*|pager*|secondary|out of hours|night shift|responder*|shift|shifts|phone|phones|reached|reachable|woken|wake"},
		{Class: topicVendor, Phrases: "vendor*|provider*|supplier*|third party|third-party|third parties|upstream|isp|carrier|contract|support contract|support ticket*|partner*"},
		{Class: topicCache, Phrases: "cache*|caching|redis|memcached|stampede*|thundering herd|cdn|warm-up|warm up|ttl jitter|cold"},
		{Class: topicQueue, Phrases: "queue*|backlog*|kafka|rabbitmq|consumer*|producer*|broker*|dead letter|dead-letter|backpressure|worker*"},
		{Class: topicLock, Phrases: "lock|locks|locked|locking|deadlock*|lock_timeout|access exclusive|blocking|blocked|contention"},
		{Class: topicMigration, Phrases: "migrat*|schema|alter table|ddl|index|indexes|create index|column|columns|backfill*"},
		{Class: topicLog, Phrases: "wal|archiv*|archive_command|log shipping|slot|slots|replication slot*|segment|segments|binlog*|redo"},
		{Class: topicTest, Phrases: "test*|untested|verif*|unverified|rehears*|validat*|staging|proof|proved|prove|checked|drill*"},
		{Class: topicConnections, Phrases: "connection*|pool|pools|pooling|pooler|pgbouncer|max_connections|sessions|idle in transaction"},
		{Class: topicReplication, Phrases: "replicat*|replica*|lag|lags|lagged|replay*|standby*|asynchronous*|synchronous*|async|streaming"},
		{Class: topicLoad, Phrases: "load|traffic|spike*|surge*|peak|peaks|black friday|rate limit*|rate-limit*|throttl*|requests per|ddos|shed*|burst*|campaign"},
		{Class: topicHardware, Phrases: "hardware|psu|power|ups|fan|memory module*|controller|firmware|bios|motherboard|chassis|cooling|rack|racks|data centre*|datacenter*|data center*|battery|cpu|kernel|driver|drivers|nic|disk controller"},
		{Class: topicTime, Phrases: "ntp|clock skew|clock drift|time sync*|chrony|leap second|daylight saving|timezone handling"},
		{Class: topicSecurity, Phrases: "ransomware|malware|phishing|attack*|breach*|encrypt*|vulnerab*|cve*|mfa|two-factor|multi-factor|intrusion|compromis*|immutable|object lock|edr|quarantine*|exploit*"},
		{Class: topicDelete, Phrases: "delete*|deleting|deletion*|drop table|dropped|dropping|truncat*|wiped|erased|rm -rf|purge*|destroy*|drop|drops"},
		{Class: topicQuery, Phrases: "query|queries|plan|planner|slow query|full scan*|sequential scan*|statement_timeout|statement timeout|orm|sql|statistics|analyze"},
		{Class: topicRetry, Phrases: "retry|retries|retrying|backoff|back-off|jitter|circuit breaker*|circuit-breaker*|timeout|timeouts|idempoten*|exponential"},
		{Class: topicDependency, Phrases: "dependenc*|library|libraries|package*|module|modules|version|versions|upgrade*|pinned|pinning|lockfile|container image*|base image*"},
		{Class: topicRegion, Phrases: "region|regions|zone outage|availability zone*|multi-region|multi-az|cross-region|az|single zone|second zone|zones"},
		{Class: topicStatusPage, Phrases: "status page*|statuspage*|status site|public updates"},
		{Class: topicHandover, Phrases: "hand-over*|handover*|handoff*|hand-off*|hand over|handed over|shift change*"},
		{Class: topicSchedule, Phrases: "cron|crontab|scheduled|scheduler*|batch|nightly job*|job|jobs|timer|timers|systemd"},
		{Class: topicRollback, Phrases: "rollback*|roll back|rolled back|rolling back|revert*|undo"},
		{Class: topicTeamwork, Phrases: "teamwork|collaborat*|worked together|working together|team spirit|between teams|between the teams|across teams|cooperat*|co-operat*"},
		{Class: topicVacuum, Phrases: "vacuum*|autovacuum*|wraparound|freeze|transaction id|xid|bloat*"},
		{Class: topicMemory, Phrases: "memory|oom|oom-killer|oom killer|out of memory|swap|huge pages|heap|work_mem|shared_buffers"},
	}
}

// topicSet is a set of topics.
type topicSet uint64

func (s topicSet) has(c prose.Class) bool { return s&(1<<(c-firstTopic)) != 0 }

func topicBit(c prose.Class) topicSet {
	if c < firstTopic {
		return 0
	}
	return 1 << (c - firstTopic)
}

// list is a set's topics in order.
func (s topicSet) list() []prose.Class {
	var out []prose.Class
	for c := firstTopic; c < lastTopic; c++ {
		if s.has(c) {
			out = append(out, c)
		}
	}
	return out
}

// hits are the phrases of a block.
func (d *Report) hits(b *Block) []prose.Hit {
	if !b.scanned {
		b.found, b.scanned = d.lexicon.Scan(b.toks), true
	}
	return b.found
}

// within lists the phrases of a class among tokens [first, end) of a block.
func (d *Report) within(b *Block, first, end int, classes ...prose.Class) []prose.Hit {
	var out []prose.Hit
	all := d.hits(b)
	for _, h := range all[sort.Search(len(all), func(i int) bool { return all[i].First >= first }):] {
		if h.First >= end {
			break
		}
		if h.End > end {
			continue
		}
		for _, c := range classes {
			if h.Class == c {
				out = append(out, h)
				break
			}
		}
	}
	return out
}

// speaks reports whether a phrase of a class is among tokens of a block.
func (d *Report) speaks(b *Block, first, end int, classes ...prose.Class) bool {
	all := d.hits(b)
	for _, h := range all[sort.Search(len(all), func(i int) bool { return all[i].First >= first }):] {
		if h.First >= end {
			return false
		}
		for _, c := range classes {
			if h.Class == c && h.End <= end {
				return true
			}
		}
	}
	return false
}

// says reports whether a phrase of a class is anywhere in a block.
func (d *Report) says(b *Block, classes ...prose.Class) bool {
	return d.speaks(b, 0, len(b.toks), classes...)
}

// topics is the set of topics among tokens of a block.
func (d *Report) topics(b *Block, first, end int) topicSet {
	var out topicSet
	for _, h := range d.hits(b) {
		if h.First >= first && h.End <= end {
			out |= topicBit(h.Class)
		}
	}
	return out
}
