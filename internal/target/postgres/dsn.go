package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Errors of a DSN never quote it: what cannot be parsed may hold a password.
var errDSN = errors.New("DSN of the server: it is neither a URL (postgres://USER@HOST:PORT/DATABASE) nor keywords (host=HOST user=USER); " +
	"special characters of a URL's parts are written %XX")

// parseDSN lists the settings that a DSN names itself: "sslmode" and the like.
// A password is refused with ErrPasswordInDSN.
func parseDSN(dsn string) (map[string]string, error) {
	var given map[string]string
	var err error
	if isURL(dsn) {
		given, err = parseURL(dsn)
	} else {
		given, err = parseKeywords(dsn)
	}
	if err != nil {
		return nil, err
	}
	for _, k := range []string{"password", "sslpassword"} {
		if _, is := given[k]; is {
			return nil, ErrPasswordInDSN
		}
	}
	return given, nil
}

func isURL(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

func parseURL(dsn string) (map[string]string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errDSN
	}
	if _, has := u.User.Password(); has {
		return nil, ErrPasswordInDSN
	}
	// A password with an unescaped / ? or # ends up in the wrong part.
	if u.Fragment != "" || strings.ContainsAny(u.Path+u.RawQuery, "@") {
		return nil, errDSN
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errDSN
	}
	given := map[string]string{}
	for k, v := range query {
		given[k] = v[0]
	}
	return given, nil
}

// parseKeywords reads "key = value key='quoted \' value'" (PostgreSQL docs,
// "Keyword/Value Connection Strings").
func parseKeywords(s string) (map[string]string, error) {
	given := map[string]string{}
	for s = strings.TrimLeft(s, " \t\r\n"); s != ""; s = strings.TrimLeft(s, " \t\r\n") {
		key, rest, ok := strings.Cut(s, "=")
		key = strings.TrimRight(key, " \t\r\n")
		if !ok || key == "" || strings.ContainsAny(key, " \t\r\n'\\") {
			return nil, errDSN
		}
		var value string
		var err error
		if value, s, err = keywordValue(strings.TrimLeft(rest, " \t\r\n")); err != nil {
			return nil, err
		}
		given[key] = value
	}
	return given, nil
}

// keywordValue takes one value off s.
func keywordValue(s string) (value, rest string, err error) {
	quoted := strings.HasPrefix(s, "'")
	if quoted {
		s = s[1:]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case quoted && s[i] == '\'':
			return b.String(), s[i+1:], nil
		case !quoted && strings.IndexByte(" \t\r\n", s[i]) >= 0:
			return b.String(), s[i:], nil
		default:
			b.WriteByte(s[i])
		}
	}
	if quoted {
		return "", "", errDSN
	}
	return b.String(), "", nil
}

// addSetting adds a setting that the DSN does not have.
func addSetting(dsn, key, value string) string {
	if isURL(dsn) {
		sep := "?"
		if strings.Contains(dsn, "?") {
			sep = "&"
		}
		return dsn + sep + key + "=" + url.QueryEscape(value)
	}
	value = strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value)
	return strings.TrimSpace(fmt.Sprintf("%s %s='%s'", dsn, key, value))
}

// Address names the server of a DSN for people: host, port and database, and
// nothing else of it.
func Address(dsn string) string {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "the server"
	}
	return fmt.Sprintf("%s:%d/%s", config.Host, config.Port, config.Database)
}
