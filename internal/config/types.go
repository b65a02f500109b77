// Package config reads refloat.yaml and the environment into typed values. It
// is strict: an unknown key, a wrong unit and a missing secret are errors that
// name file, line and column.
package config

import (
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// Config is refloat.yaml.
type Config struct {
	Version    int               `yaml:"version" jsonschema:"required,enum=1" jsonschema_description:"Version of this file's format: 1."`
	StateDir   string            `yaml:"state_dir" jsonschema_description:"Where the server keeps its state and the log that is on its way to the repository. Default: /var/lib/refloat."`
	Store      Store             `yaml:"store" jsonschema_description:"Where the server keeps its own state when several nodes share it."`
	Repository Repository        `yaml:"repository" jsonschema:"required" jsonschema_description:"Where backups live."`
	Server     Server            `yaml:"server" jsonschema_description:"Metrics and status of refloat server."`
	Targets    map[string]Target `yaml:"targets" jsonschema_description:"The database servers in care, by name: lower-case letters, digits and inner hyphens."`
	Email      Email             `yaml:"email" jsonschema_description:"The server that takes our mail, for contacts via email."`
	Watchdogs  []Watchdog        `yaml:"watchdogs" jsonschema_description:"Who is told that this server is well, and pages when it falls silent."`
	Tracing    Tracing           `yaml:"tracing" jsonschema_description:"Traces of each page, from the first bad look to its delivery, for OpenTelemetry."`
	Peers      []Peer            `yaml:"peers" jsonschema_description:"Other nodes that watch the same targets: what only this one cannot reach is no outage, and they share acknowledgements."`
	Trackers   []Tracker         `yaml:"trackers" jsonschema_description:"Issue trackers that action items can be filed in."`
	PageTests  PageTests         `yaml:"page_tests" jsonschema_description:"Test pages to those on call."`
	Inbound    Inbound           `yaml:"inbound" jsonschema_description:"Who may tell this server of trouble, or give a sign of life."`
	Incidents  Incidents         `yaml:"incidents" jsonschema_description:"When an incident is opened by itself, and who is told of one."`
	Chat       Chat              `yaml:"chat" jsonschema_description:"Slash commands, and rooms that are told of incidents."`
	StatusPage StatusPage        `yaml:"status_page" jsonschema_description:"What clients are told, on a page of its own."`
	People     map[string]Person `yaml:"people" jsonschema_description:"Who can be paged, by name: lower-case letters, digits and inner hyphens."`
	Teams      map[string]Team   `yaml:"teams" jsonschema_description:"Who answers for targets, and is on call when."`
	Policies   map[string]Policy `yaml:"policies" jsonschema_description:"Who is paged when, until somebody acknowledges. One named default is for teams that name none."`

	// Roster is what people, teams and policies say, read and checked.
	Roster alert.Roster `yaml:"-"`
	// Path is the file that was read; empty when there was none.
	Path string `yaml:"-"`
}

// Repository says where backups live and how they are opened.
type Repository struct {
	URL            string   `yaml:"url" jsonschema:"required" jsonschema_description:"file:///path, s3://bucket/prefix, azblob://container/prefix, gs://bucket/prefix or sftp://user@host/path."`
	PassphraseFile string   `yaml:"passphrase_file" jsonschema_description:"File that holds the passphrase; others must not be able to read it."`
	PassphraseEnv  string   `yaml:"passphrase_env" jsonschema_description:"Environment variable that holds the passphrase."`
	Maintain       Schedule `yaml:"maintain" jsonschema_description:"When space is reclaimed. Default: daily 06:00."`
	Verify         Schedule `yaml:"verify" jsonschema_description:"When what is stored is checked. Default: weekly sun 07:00."`
	S3             S3       `yaml:"s3" jsonschema_description:"For s3:// locations."`
	Azure          Azure    `yaml:"azure" jsonschema_description:"For azblob:// locations."`
	GCS            GCS      `yaml:"gcs" jsonschema_description:"For gs:// locations."`
	SFTP           SFTP     `yaml:"sftp" jsonschema_description:"For sftp:// locations."`
	Copies         []string `yaml:"copies" jsonschema_description:"URLs of copies of this repository in other places, made by the storage or by you; refloat check looks at them, with the same passphrase and credentials."`

	Passphrase secret.Value `yaml:"-"`
}

// S3 goes with s3:// locations.
type S3 struct {
	Endpoint            string `yaml:"endpoint" jsonschema_description:"host or host:port of an S3-compatible service; none for AWS."`
	Region              string `yaml:"region" jsonschema_description:"Region of the bucket."`
	AccessKeyIDFile     string `yaml:"access_key_id_file" jsonschema_description:"File that holds the access key's ID."`
	SecretAccessKeyFile string `yaml:"secret_access_key_file" jsonschema_description:"File that holds the secret access key."`
	SessionTokenFile    string `yaml:"session_token_file" jsonschema_description:"File that holds a session token."`
	CAFile              string `yaml:"ca_file" jsonschema_description:"PEM file of a private certificate authority."`
	Plaintext           bool   `yaml:"plaintext" jsonschema_description:"Speak HTTP; refused except to a loopback address."`

	AccessKeyID     secret.Value `yaml:"-"`
	SecretAccessKey secret.Value `yaml:"-"`
	SessionToken    secret.Value `yaml:"-"`
}

// Azure goes with azblob:// locations.
type Azure struct {
	Account string `yaml:"account" jsonschema_description:"Storage account."`
	KeyFile string `yaml:"key_file" jsonschema_description:"File that holds the account's key."`

	Key secret.Value `yaml:"-"`
}

// GCS goes with gs:// locations.
type GCS struct {
	CredentialsFile string `yaml:"credentials_file" jsonschema_description:"JSON file of a service account."`
}

// SFTP goes with sftp:// locations.
type SFTP struct {
	KeyFile        string `yaml:"key_file" jsonschema_description:"Private key."`
	KnownHostsFile string `yaml:"known_hosts_file" jsonschema_description:"Keys of known hosts."`
}

// Server is where `refloat server` serves metrics and status.
type Server struct {
	Listen    string `yaml:"listen" jsonschema_description:"Address of metrics and status, or off. Default: 127.0.0.1:9464."`
	PublicURL string `yaml:"public_url" jsonschema_description:"How people reach this server from where they read their pages, like https://refloat.example.org; with it, a page carries a link that acknowledges."`
	Remote    bool   `yaml:"remote" jsonschema_description:"Allow an address that is not loopback; it needs tls, acme or behind_proxy, and what is read there a sign-in."`

	TLS            TLS      `yaml:"tls" jsonschema_description:"Speak TLS with a certificate from files."`
	ACME           ACME     `yaml:"acme" jsonschema_description:"Speak TLS with certificates that are asked for by ACME."`
	BehindProxy    bool     `yaml:"behind_proxy" jsonschema_description:"A proxy before this server speaks TLS, and says in X-Forwarded-For and X-Forwarded-Proto whom it asks for."`
	TrustedProxies []string `yaml:"trusted_proxies" jsonschema_description:"Addresses or networks of proxies that are believed."`
	Access         Access   `yaml:"access" jsonschema_description:"How people sign in."`
}

// Target is one database server in care.
type Target struct {
	DSN          string        `yaml:"dsn" jsonschema:"required" jsonschema_description:"How to reach the server, without a password: postgres://role@host:5432/postgres."`
	PasswordFile string        `yaml:"password_file" jsonschema_description:"File that holds the role's password; others must not be able to read it."`
	PasswordEnv  string        `yaml:"password_env" jsonschema_description:"Environment variable that holds the role's password."`
	RootCAFile   string        `yaml:"root_ca_file" jsonschema_description:"Certificates that the server's is checked against; none for the system's."`
	Owner        string        `yaml:"owner" jsonschema_description:"Who answers for this target."`
	Objectives   Objectives    `yaml:"objectives" jsonschema_description:"What the owner promised."`
	Backup       Backup        `yaml:"backup" jsonschema_description:"Base backups."`
	Log          Log           `yaml:"log" jsonschema_description:"The continuous log."`
	Heartbeat    Heartbeat     `yaml:"heartbeat" jsonschema_description:"The small row written to the target, which a drill looks for."`
	Watch        Watch         `yaml:"watch" jsonschema_description:"Whether the target serves, looked at by refloat server."`
	Drill        Drill         `yaml:"drill" jsonschema_description:"Rehearsed restores."`
	Recovery     Recovery      `yaml:"recovery" jsonschema_description:"What a guided recovery may do by itself; what is not granted is shown for a person to do."`
	Retention    Retention     `yaml:"retention" jsonschema_description:"What is kept."`
	Foreign      []string      `yaml:"foreign" jsonschema_description:"Where another tool keeps backups of this server: pgbackrest:STANZA, barman:SERVER, wal-g, wal-g:PREFIX, dump:/path or jobs:/path. The usual places are found by themselves."`
	Check        Check         `yaml:"check" jsonschema_description:"The audit that refloat server runs."`
	Team         string        `yaml:"team" jsonschema_description:"Which team answers for it."`
	Tier         string        `yaml:"tier" jsonschema:"enum=critical,enum=high,enum=medium,enum=low" jsonschema_description:"How grave it is when this server is down. Default: high."`
	CostPerHour  Money         `yaml:"cost_per_hour" jsonschema_description:"What an hour without this server costs, like EUR 1200; postmortems count with it."`
	Maintenance  []Maintenance `yaml:"maintenance" jsonschema_description:"Planned work, during which nobody is paged about this target; what still holds at its end pages then."`
	Suppress     []Suppress    `yaml:"suppress" jsonschema_description:"Findings of refloat check that somebody accepts, until a day."`

	Password secret.Value `yaml:"-"`
}

// Check says how the server audits a target.
type Check struct {
	Schedule Schedule `yaml:"schedule" jsonschema_description:"When; and whenever a configuration changed. Default: daily 03:00."`
}

// Suppress is a finding that somebody accepts, until a day.
type Suppress struct {
	Rule   string `yaml:"rule" jsonschema:"required" jsonschema_description:"The rule's name; refloat check --list has them."`
	Object string `yaml:"object" jsonschema_description:"Only this object of it, as a finding names it; none for all."`
	Owner  string `yaml:"owner" jsonschema:"required" jsonschema_description:"Who accepts it."`
	Reason string `yaml:"reason" jsonschema:"required" jsonschema_description:"Why."`
	Until  Date   `yaml:"until" jsonschema:"required" jsonschema_description:"The last day on which it is accepted; then it is a finding again, and so is this."`
}

// Objectives are what the owner promised.
type Objectives struct {
	DataLoss   Duration `yaml:"data_loss" jsonschema_description:"At most so much work is lost (RPO). Default: 1m."`
	Resolution Duration `yaml:"resolution" jsonschema_description:"Restored within (RTO). Default: 4h."`
	Detection  Duration `yaml:"detection" jsonschema_description:"An outage is noticed within. Default: 1m."`
	ProofAge   Duration `yaml:"proof_age" jsonschema_description:"The last proof is never older. Default: 7d."`
}

// Backup says how base backups are taken.
type Backup struct {
	Schedule Schedule `yaml:"schedule" jsonschema_description:"When. Default: daily 02:00."`
	Read     string   `yaml:"read" jsonschema:"enum=protocol,enum=files" jsonschema_description:"protocol reads over the replication protocol; files reads the data directory on this host, in parallel. Default: protocol."`
	Workers  int      `yaml:"workers" jsonschema:"minimum=0" jsonschema_description:"Parallel readers when files are read; 0 for one a core."`
	MaxChain int      `yaml:"max_chain" jsonschema:"minimum=1" jsonschema_description:"Deltas in a row before the next full backup. Default: 5."`
}

// Log says how the log is kept.
type Log struct {
	Enabled      bool     `yaml:"enabled" jsonschema_description:"Keep the log. Default: true."`
	Slot         string   `yaml:"slot" jsonschema_description:"Name of the replication slot. Default: refloat_ and the target's name, with _ for -."`
	Synchronous  bool     `yaml:"synchronous" jsonschema_description:"Act as a synchronous standby: a commit waits until the log is on this machine's disk."`
	PartialEvery Duration `yaml:"partial_every" jsonschema_description:"How often a segment that is not full is stored. Default: 10s."`
	MaxRetained  Size     `yaml:"max_retained" jsonschema_description:"Log that the slot may hold on the server; past it the slot is given up rather than the server's disk filled. Default: 10GiB."`
	MaxSpool     Size     `yaml:"max_spool" jsonschema_description:"Log that may wait on this machine for the repository. Default: 10GiB."`
}

// Heartbeat is the small row written to the target.
type Heartbeat struct {
	Enabled bool     `yaml:"enabled" jsonschema_description:"Write it; refloat init --grants prints what that needs. Default: true."`
	Every   Duration `yaml:"every" jsonschema_description:"How often. Default: 1s."`
}

// Watch says how a target is looked at.
type Watch struct {
	Enabled  bool     `yaml:"enabled" jsonschema_description:"Look at it; needs no more than the right to connect. Default: true."`
	Every    Duration `yaml:"every" jsonschema_description:"How often, through a session that is kept open. Default: 500ms."`
	Flapping int      `yaml:"flapping" jsonschema:"minimum=0" jsonschema_description:"Of so many outages within ten minutes the last stays open until the target has served for two, so that one that comes and goes pages once; 0 for never. Default: 4."`
	MaxLag   Duration `yaml:"max_lag" jsonschema_description:"A standby, or the target if it is one, that is further behind is an alarm; 0s for never. Default: 5m."`
	Standbys int      `yaml:"standbys" jsonschema:"minimum=0" jsonschema_description:"Fewer standbys that stream from it than this are a grave alarm. Default: 0."`
	Standby  bool     `yaml:"standby" jsonschema_description:"The target is meant to be a standby: that it takes no writes is right."`
}

// Drill says how restores are rehearsed.
type Drill struct {
	Schedule       Schedule    `yaml:"schedule" jsonschema_description:"When. Default: weekly sun 04:00."`
	BinDir         string      `yaml:"bin_dir" jsonschema_description:"Folder of the server's programs on this machine; found by itself in the usual places."`
	RunAs          string      `yaml:"run_as" jsonschema_description:"User that runs the scratch server when Refloat runs as root. Default: postgres."`
	ScratchDir     string      `yaml:"scratch_dir" jsonschema_description:"Where scratch servers are made; needs room for the whole cluster. Default: the system's folder for temporary files."`
	AcceptUnlogged []string    `yaml:"accept_unlogged" jsonschema_description:"Unlogged tables whose loss in a restore is accepted, as database.schema.table."`
	Assertions     []Assertion `yaml:"assertions" jsonschema_description:"Your own questions to the restored copy."`
}

// Assertion is a question to the restored copy.
type Assertion struct {
	Name     string `yaml:"name" jsonschema:"required" jsonschema_description:"Shown in the proof."`
	Database string `yaml:"database" jsonschema_description:"Default: postgres."`
	SQL      string `yaml:"sql" jsonschema:"required" jsonschema_description:"Its first value is compared."`
	Expect   string `yaml:"expect" jsonschema_description:"As text. Default: t, which is what true reads as."`
}

// Retention says what is kept: days of coverage, and weekly and monthly backups.
type Retention struct {
	Schedule Schedule `yaml:"schedule" jsonschema_description:"When what is no longer kept is deleted. Default: daily 05:00."`
	Days     int      `yaml:"days" jsonschema:"minimum=1" jsonschema_description:"Days to each moment of which the target can be restored. Default: 14."`
	Weekly   int      `yaml:"weekly" jsonschema:"minimum=0" jsonschema_description:"Last backups of so many weeks. Default: 4."`
	Monthly  int      `yaml:"monthly" jsonschema:"minimum=0" jsonschema_description:"Last backups of so many months. Default: 6."`
}

// defaults is what a file that says nothing means.
func defaults() Config {
	return Config{
		StateDir:   "/var/lib/refloat",
		Server:     Server{Listen: "127.0.0.1:9464", Access: defaultAccess()},
		Incidents:  defaultIncidents(),
		PageTests:  PageTests{Every: Duration(7 * 24 * time.Hour), AnswerWithin: Duration(24 * time.Hour)},
		Repository: Repository{Maintain: "0 6 * * *", Verify: "0 7 * * 0"},
	}
}

// defaultTarget is what a target that says nothing means.
func defaultTarget() Target {
	return Target{
		Objectives: Objectives{DataLoss: Duration(time.Minute), Resolution: Duration(4 * time.Hour), Detection: Duration(time.Minute), ProofAge: Duration(7 * 24 * time.Hour)},
		Backup:     Backup{Schedule: "0 2 * * *", Read: "protocol", MaxChain: 5},
		Log:        Log{Enabled: true, PartialEvery: Duration(10 * time.Second), MaxRetained: 10 << 30, MaxSpool: 10 << 30},
		Heartbeat:  Heartbeat{Enabled: true, Every: Duration(time.Second)},
		Watch:      Watch{Enabled: true, Every: Duration(500 * time.Millisecond), Flapping: 4, MaxLag: Duration(5 * time.Minute)},
		Drill:      Drill{Schedule: "0 4 * * 0", RunAs: "postgres"},
		Recovery:   defaultRecovery(),
		Retention:  Retention{Schedule: "0 5 * * *", Days: 14, Weekly: 4, Monthly: 6},
		Check:      Check{Schedule: "0 3 * * *"},
		Tier:       string(alert.High),
	}
}
