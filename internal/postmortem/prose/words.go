package prose

import "time"

var numberWords = map[string]float64{
	"zero": 0, "no": -1, "one": 1, "a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
	"ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18,
	"nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
	"half": 0.5, "hundred": 100, "dozen": 12,
}

var fractions = map[string]float64{"½": 0.5, "¼": 0.25, "¾": 0.75, "⅓": 1.0 / 3}

// starters are other words with which a fact may begin.
var starters = map[string]bool{
	"q": true, "midnight": true, "noon": true, "end": true, "mid": true, "early": true, "late": true, "several": true, "few": true, "many": true,
	"couple": true, "hours": true, "minutes": true, "europe": true, "america": true, "asia": true, "australia": true, "africa": true, "pacific": true,
	"local": true, "coordinated": true, "eastern": true, "central": true, "mountain": true, "greenwich": true,
}

var months = map[string]int{
	"january": 1, "february": 2, "march": 3, "april": 4, "may": 5, "june": 6, "july": 7, "august": 8, "september": 9, "october": 10, "november": 11, "december": 12,
	"jan": 1, "feb": 2, "mar": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9, "oct": 10, "nov": 11, "dec": 12,
}

// weekdays count from 1 for Sunday, so that 0 is none.
var weekdays = map[string]int{
	"sunday": 1, "monday": 2, "tuesday": 3, "wednesday": 4, "thursday": 5, "friday": 6, "saturday": 7,
	"sun": 1, "mon": 2, "tue": 3, "tues": 3, "wed": 4, "weds": 4, "thu": 5, "thur": 5, "thurs": 5, "fri": 6, "sat": 7,
}

type zone struct {
	offset time.Duration
	season int8 // 1 for summer time, -1 for winter time of the northern half, 0 for neither
	upper  bool // a word too, unless in capitals
}

const hour = time.Hour

var zones = map[string]*zone{
	"utc": {}, "gmt": {season: 0}, "z": {upper: true}, "zulu": {},
	"cet": {offset: hour, season: -1}, "cest": {offset: 2 * hour, season: 1}, "met": {offset: hour, upper: true},
	"bst": {offset: hour, season: 1}, "wet": {season: -1, upper: true}, "west": {offset: hour, season: 1, upper: true}, "eet": {offset: 2 * hour, season: -1}, "eest": {offset: 3 * hour, season: 1},
	"est": {offset: -5 * hour, season: -1, upper: true}, "edt": {offset: -4 * hour, season: 1}, "cst": {offset: -6 * hour}, "cdt": {offset: -5 * hour, season: 1},
	"mst": {offset: -7 * hour}, "mdt": {offset: -6 * hour, season: 1}, "pst": {offset: -8 * hour, season: -1}, "pdt": {offset: -7 * hour, season: 1},
	"et": {offset: -5 * hour, upper: true}, "pt": {offset: -8 * hour, upper: true}, "ct": {offset: -6 * hour, upper: true}, "mt": {offset: -7 * hour, upper: true},
	"ist": {offset: 5*hour + 30*time.Minute, upper: true}, "jst": {offset: 9 * hour}, "kst": {offset: 9 * hour}, "sgt": {offset: 8 * hour}, "hkt": {offset: 8 * hour}, "pht": {offset: 8 * hour},
	"wat": {offset: hour}, "cat": {offset: 2 * hour, upper: true}, "eat": {offset: 3 * hour, upper: true}, "sast": {offset: 2 * hour}, "msk": {offset: 3 * hour}, "brt": {offset: -3 * hour}, "wib": {offset: 7 * hour},
	"aest": {offset: 10 * hour}, "aedt": {offset: 11 * hour}, "awst": {offset: 8 * hour}, "nzst": {offset: 12 * hour}, "nzdt": {offset: 13 * hour},
}

// Offset is how far a zone lies from UTC, where its name alone tells.
func Offset(name string) (time.Duration, bool) {
	if z := zones[Lower(name)]; z != nil {
		return z.offset, true
	}
	return parseOffset(name)
}

// Season is 1 for a zone of summer time, -1 for one of winter time.
func Season(name string) int {
	if z := zones[Lower(name)]; z != nil {
		return int(z.season)
	}
	return 0
}

var units = map[string]time.Duration{
	"ms": time.Millisecond, "millisecond": time.Millisecond, "milliseconds": time.Millisecond, "msec": time.Millisecond,
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute, "mn": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour, "hour's": time.Hour, "hours'": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour, "wk": 7 * 24 * time.Hour, "fortnight": 14 * 24 * time.Hour,
	"month": 30 * 24 * time.Hour, "months": 30 * 24 * time.Hour, "year": 365 * 24 * time.Hour, "years": 365 * 24 * time.Hour,
}

var money = map[string]string{"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₦": "NGN"}

var currencies = map[string]string{
	"usd": "USD", "eur": "EUR", "gbp": "GBP", "chf": "CHF", "jpy": "JPY", "inr": "INR", "aud": "AUD", "cad": "CAD", "ngn": "NGN", "zar": "ZAR", "sek": "SEK", "kes": "KES",
	"nok": "NOK", "dkk": "DKK", "pln": "PLN", "czk": "CZK", "huf": "HUF", "bgn": "BGN", "brl": "BRL", "mxn": "MXN", "cny": "CNY", "krw": "KRW", "sgd": "SGD", "hkd": "HKD", "nzd": "NZD", "thb": "THB", "idr": "IDR", "myr": "MYR", "vnd": "VND", "ils": "ILS", "aed": "AED", "uah": "UAH", "clp": "CLP", "isk": "ISK",
	"dollars": "USD", "dollar": "USD", "euros": "EUR", "euro": "EUR", "pounds": "GBP", "rupees": "INR", "naira": "NGN", "francs": "CHF", "yen": "JPY",
}

var scales = map[string]float64{"k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "mio": 1e6, "million": 1e6, "bn": 1e9, "b": 1e9, "billion": 1e9}
