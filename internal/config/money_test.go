package config

import "testing"

func TestMoney(t *testing.T) {
	for in, want := range map[string]float64{"EUR 1200": 120000, "USD 0.50": 50, "JPY 9": 900} {
		var m Money
		if err := m.UnmarshalText([]byte(in)); err != nil {
			t.Fatal(err)
		}
		if n, cur := m.Hundredths(); n != want || cur != in[:3] {
			t.Errorf("%s is %v %s", in, n, cur)
		}
	}
	for _, in := range []string{"1200", "EUR", "XXX 5", "EUR 1,200", "EUR -5", "eur 5", "EUR 1.5"} {
		var m Money
		if m.UnmarshalText([]byte(in)) == nil {
			t.Errorf("%q was taken", in)
		}
	}
}
