// Package config reads refloat.yaml and the environment into typed values. It
// is strict: an unknown key, a wrong unit and a missing secret are errors that
// name file, line and column.
package config

import "github.com/refloat-db/refloat/internal/secret"

// Config is refloat.yaml.
type Config struct {
	Version    int               `yaml:"version"`
	StateDir   string            `yaml:"state_dir"`
	Repository Repository        `yaml:"repository"`
	Server     Server            `yaml:"server"`
	Targets    map[string]Target `yaml:"targets"`

	// Path is the file that was read.
	Path string `yaml:"-"`
}

// Repository says where backups live and how they are opened.
type Repository struct {
	URL            string `yaml:"url"`
	PassphraseFile string `yaml:"passphrase_file"`
	PassphraseEnv  string `yaml:"passphrase_env"`
	S3             S3     `yaml:"s3"`
	Azure          Azure  `yaml:"azure"`
	GCS            GCS    `yaml:"gcs"`
	SFTP           SFTP   `yaml:"sftp"`

	Passphrase secret.Value `yaml:"-"`
}

// S3 goes with s3:// locations.
type S3 struct {
	Endpoint            string `yaml:"endpoint"`
	Region              string `yaml:"region"`
	AccessKeyIDFile     string `yaml:"access_key_id_file"`
	SecretAccessKeyFile string `yaml:"secret_access_key_file"`
	SessionTokenFile    string `yaml:"session_token_file"`
	CAFile              string `yaml:"ca_file"`
	Plaintext           bool   `yaml:"plaintext"`

	AccessKeyID     secret.Value `yaml:"-"`
	SecretAccessKey secret.Value `yaml:"-"`
	SessionToken    secret.Value `yaml:"-"`
}

// Azure goes with azblob:// locations.
type Azure struct {
	Account string `yaml:"account"`
	KeyFile string `yaml:"key_file"`

	Key secret.Value `yaml:"-"`
}

// GCS goes with gs:// locations.
type GCS struct {
	CredentialsFile string `yaml:"credentials_file"`
}

// SFTP goes with sftp:// locations.
type SFTP struct {
	KeyFile        string `yaml:"key_file"`
	KnownHostsFile string `yaml:"known_hosts_file"`
}

// Server is where `refloat server` serves metrics and status.
type Server struct {
	Listen string `yaml:"listen"`
}

// Target is one database server in care.
type Target struct {
	DSN          string     `yaml:"dsn"`
	PasswordFile string     `yaml:"password_file"`
	PasswordEnv  string     `yaml:"password_env"`
	Owner        string     `yaml:"owner"`
	Objectives   Objectives `yaml:"objectives"`
	Backup       Backup     `yaml:"backup"`
	Log          Log        `yaml:"log"`
	Heartbeat    Heartbeat  `yaml:"heartbeat"`
	Drill        Drill      `yaml:"drill"`
	Retention    Retention  `yaml:"retention"`

	Password secret.Value `yaml:"-"`
}

// Objectives are what the owner promised.
type Objectives struct {
	DataLoss   Duration `yaml:"data_loss"`
	Resolution Duration `yaml:"resolution"`
	Detection  Duration `yaml:"detection"`
	ProofAge   Duration `yaml:"proof_age"`
}

// Backup says how base backups are taken.
type Backup struct {
	Schedule Schedule `yaml:"schedule"`
	Read     string   `yaml:"read"` // protocol or files
	Workers  int      `yaml:"workers"`
	MaxChain int      `yaml:"max_chain"`
}

// Log says how the log is kept.
type Log struct {
	Enabled      bool     `yaml:"enabled"`
	Slot         string   `yaml:"slot"`
	Synchronous  bool     `yaml:"synchronous"`
	PartialEvery Duration `yaml:"partial_every"`
	MaxRetained  Size     `yaml:"max_retained"`
	MaxSpool     Size     `yaml:"max_spool"`
}

// Heartbeat is the small row written to the target.
type Heartbeat struct {
	Enabled bool     `yaml:"enabled"`
	Every   Duration `yaml:"every"`
}

// Drill says how restores are rehearsed.
type Drill struct {
	Schedule       Schedule    `yaml:"schedule"`
	BinDir         string      `yaml:"bin_dir"`
	RunAs          string      `yaml:"run_as"`
	ScratchDir     string      `yaml:"scratch_dir"`
	AcceptUnlogged []string    `yaml:"accept_unlogged"`
	Assertions     []Assertion `yaml:"assertions"`
}

// Assertion is a question to the restored copy.
type Assertion struct {
	Name     string `yaml:"name"`
	Database string `yaml:"database"`
	SQL      string `yaml:"sql"`
	Expect   string `yaml:"expect"`
}

// Retention says what is kept: days of coverage, and weekly and monthly backups.
type Retention struct {
	Days    int `yaml:"days"`
	Weekly  int `yaml:"weekly"`
	Monthly int `yaml:"monthly"`
}
