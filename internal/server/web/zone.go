package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// zoneCookie holds the viewer's time zone, as the browser told it (console.js) or as
// they chose it.
const zoneCookie = "refloat-zone"

func zoneOf(r *http.Request) *time.Location {
	c, err := r.Cookie(zoneCookie)
	if err != nil {
		return nil
	}
	name, err := url.QueryUnescape(c.Value)
	if err != nil {
		return nil
	}
	return location(name)
}

// location is a zone by its IANA name; nil when there is none by that name. The
// names Local and "" would be this machine's.
func location(name string) *time.Location {
	if name == "" || name == "Local" || len(name) > 64 {
		return nil
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return l
}

func (s *Site) zone(q asked) (view, error) {
	value := ""
	if z := zoneOf(q.Request); z != nil {
		value = z.String()
	}
	return view{title: "Time zone", body: zonePage(back(q.URL.Query().Get("back")), value, "")}, nil
}

func (s *Site) setZone(q asked) (string, error) {
	name := strings.TrimSpace(q.PostFormValue("zone"))
	to := back(q.PostFormValue("back"))
	if name != "" && location(name) == nil {
		return "", again{view{title: "Time zone", body: zonePage(to, name, "There is no time zone of that name. Write it as Area/City, for example Europe/Berlin.")}}
	}
	done := "zone"
	if name == "" {
		name, done = "UTC", "zone-none"
	}
	http.SetCookie(q.w, &http.Cookie{Name: zoneCookie, Value: url.QueryEscape(name), Path: "/", MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteLaxMode, Secure: q.TLS != nil})
	return withDone(to, done), nil
}

// back is a path of ours to go back to; the board when it is none.
func back(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.Contains(to, "\\") {
		return "/"
	}
	return to
}

// withDone is a path that says what was done when it is shown.
func withDone(to, code string) string {
	u, err := url.Parse(to)
	if err != nil {
		return "/"
	}
	v := u.Query()
	v.Set("done", code)
	u.RawQuery = v.Encode()
	return u.String()
}

func zones() []string {
	return []string{
		"UTC", "Africa/Cairo", "Africa/Johannesburg", "Africa/Lagos", "Africa/Nairobi", "America/Anchorage", "America/Argentina/Buenos_Aires", "America/Bogota", "America/Chicago",
		"America/Denver", "America/Halifax", "America/Los_Angeles", "America/Mexico_City", "America/New_York", "America/Sao_Paulo", "America/Toronto", "Asia/Bangkok", "Asia/Dubai",
		"Asia/Hong_Kong", "Asia/Jakarta", "Asia/Jerusalem", "Asia/Karachi", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Manila", "Asia/Riyadh", "Asia/Seoul", "Asia/Shanghai",
		"Asia/Singapore", "Asia/Tehran", "Asia/Tokyo", "Australia/Adelaide", "Australia/Brisbane", "Australia/Perth", "Australia/Sydney", "Europe/Amsterdam", "Europe/Athens",
		"Europe/Berlin", "Europe/Brussels", "Europe/Dublin", "Europe/Helsinki", "Europe/Istanbul", "Europe/Kyiv", "Europe/Lisbon", "Europe/London", "Europe/Madrid", "Europe/Moscow",
		"Europe/Paris", "Europe/Prague", "Europe/Rome", "Europe/Stockholm", "Europe/Vienna", "Europe/Warsaw", "Europe/Zurich", "Pacific/Auckland", "Pacific/Honolulu",
	}
}
