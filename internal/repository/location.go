package repository

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// location is a parsed Options.URL.
type location struct {
	scheme string
	path   string // file, sftp: absolute path
	bucket string // s3, azblob, gs
	prefix string // s3, azblob, gs: "" or ending in "/"
	user   string // sftp
	host   string // sftp
	port   int    // sftp
}

// String is the location without any secret.
func (l location) String() string {
	switch l.scheme {
	case "file":
		return "file://" + l.path
	case "sftp":
		h := l.host
		if l.port != 22 {
			h = net.JoinHostPort(l.host, strconv.Itoa(l.port))
		}
		return "sftp://" + l.user + "@" + h + l.path
	}
	return l.scheme + "://" + l.bucket + "/" + strings.TrimSuffix(l.prefix, "/")
}

// remote says whether reading goes over a network, so that a cache pays.
func (l location) remote() bool { return l.scheme != "file" }

// parseLocation reads Options.URL. A secret in it is refused, never echoed.
func parseLocation(text string) (location, error) {
	u, err := url.Parse(text)
	if err != nil {
		return location{}, fmt.Errorf("repository location is not a URL; write it like file:///var/lib/refloat or s3://bucket/prefix")
	}
	if _, has := u.User.Password(); has {
		return location{}, fmt.Errorf("repository location must not hold a password; give secrets in their own settings")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return location{}, fmt.Errorf("repository location %s: a query or fragment has no meaning here; use the settings of the storage", u.Redacted())
	}
	l := location{scheme: u.Scheme}
	switch u.Scheme {
	case "file":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return location{}, fmt.Errorf("repository location %q: a folder is written as file:///absolute/path", text)
		}
		l.path = filepath.Clean(u.Path)
	case "s3", "azblob", "gs":
		if u.Host == "" || u.User != nil {
			return location{}, fmt.Errorf("repository location %q: write it as %s://bucket/prefix", text, u.Scheme)
		}
		l.bucket = u.Host
		if p := strings.Trim(path.Clean("/"+u.Path), "/"); p != "" {
			l.prefix = p + "/"
		}
	case "sftp":
		if u.Hostname() == "" || u.User.Username() == "" || path.Clean(u.Path) == "/" || !path.IsAbs(u.Path) {
			return location{}, fmt.Errorf("repository location %q: write it as sftp://user@host/path", text)
		}
		l.user, l.host, l.port, l.path = u.User.Username(), u.Hostname(), 22, path.Clean(u.Path)
		if p := u.Port(); p != "" {
			n, err := strconv.Atoi(p)
			if err != nil || n < 1 || n > 65535 {
				return location{}, fmt.Errorf("repository location %q: port %q is not a port number", text, p)
			}
			l.port = n
		}
	default:
		return location{}, fmt.Errorf("repository location %q: unknown kind %q; use file, s3, azblob, gs or sftp", text, u.Scheme)
	}
	return l, nil
}
