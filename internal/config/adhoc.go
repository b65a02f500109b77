package config

import (
	"strings"

	"github.com/refloat-db/refloat/internal/secret"
)

// AdHoc is the configuration of a machine that has only a repository's location
// and passphrase. What cloud storage asks for beside them comes from the
// variables that its own tools use.
func AdHoc(url, passphraseFile string, env func(string) (string, bool)) (Config, error) {
	c := defaults()
	c.Version, c.Path = 1, ""
	get := func(k string) string { v, _ := env(k); return v }
	c.Repository.URL, c.Repository.PassphraseFile = url, passphraseFile
	if passphraseFile == "" && get(PassphraseVariable) != "" {
		c.Repository.PassphraseEnv = PassphraseVariable
	}
	c.Repository.S3.Region, c.Repository.S3.Endpoint = get("AWS_REGION"), get("AWS_ENDPOINT_URL")
	if host, plain := strings.CutPrefix(c.Repository.S3.Endpoint, "http://"); plain {
		c.Repository.S3.Endpoint, c.Repository.S3.Plaintext = host, true
	}
	c.Repository.S3.Endpoint = strings.TrimPrefix(c.Repository.S3.Endpoint, "https://")
	c.Repository.S3.CAFile = get("AWS_CA_BUNDLE")
	c.Repository.Azure.Account = get("AZURE_STORAGE_ACCOUNT")
	c.Repository.GCS.CredentialsFile = get("GOOGLE_APPLICATION_CREDENTIALS")
	c.Repository.SFTP = SFTP{KeyFile: get("REFLOAT_SFTP_KEY_FILE"), KnownHostsFile: get("REFLOAT_SFTP_KNOWN_HOSTS_FILE")}
	l := loader{env: env}
	l.repository(&c.Repository)
	c.Repository.S3.AccessKeyID = secret.New(get("AWS_ACCESS_KEY_ID"))
	c.Repository.S3.SecretAccessKey = secret.New(get("AWS_SECRET_ACCESS_KEY"))
	c.Repository.S3.SessionToken = secret.New(get("AWS_SESSION_TOKEN"))
	c.Repository.Azure.Key = secret.New(get("AZURE_STORAGE_KEY"))
	return c, l.err()
}

// PassphraseVariable holds the passphrase when no file is named.
const PassphraseVariable = "REFLOAT_PASSPHRASE"
