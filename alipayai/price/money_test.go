package price

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func TestParseDecimal(t *testing.T) {
	for text, want := range map[string]int64{ // PerToken; -1 for an error
		"0": 0, "0.0": 0, "1": 1e15, "0.000000075": 75e6, "7.5e-08": 75e6, "1.5e-07": 150e6, "5.46875E-07": 546875000, "1e-15": 1,
		"12e-6": 12e9, "1.25e+1": 125e14, "0.000000000000001": 1, "0.0000000000000010": 1, "9223": 9223e15, "007": 7e15,
		"00000000000000000000012e-6": 12e9, "0e50": 0,
		"0.0000000000000001": -1, "1e-16": -1, "9224": -1, "1e99": -1, "1e101": -1, "-1": -1, "+1": -1, "": -1, ".5": -1, "5.": -1,
		"1e": -1, "e5": -1, "0x10": -1, "1,5": -1, "NaN": -1, "Inf": -1, "1_000": -1, " 1": -1, "1e1e1": -1, "１": -1,
	} {
		got, err := ParsePerToken(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != PerToken(want)) {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	if n, err := ParsePerMillion("24"); err != nil || n != 24e9 {
		t.Errorf("24 a million is %d a token, %v", n, err)
	}
	if n, err := ParseAmount("50.000000001"); err != nil || n != 50_000_000_001 {
		t.Errorf("amount %d, %v", n, err)
	}
}

func TestTimes(t *testing.T) {
	for name, tt := range map[string]struct {
		a    Amount
		n    int64
		want Amount
	}{
		"none":                   {5, 0, 0},
		"of nothing":             {0, 5, 0},
		"several":                {5, 3, 15},
		"the most that there is": {MaxAmount / 2, 2, MaxAmount - 1},
		"beyond that":            {MaxAmount/2 + 1, 2, MaxAmount},
		"less than none":         {5, -1, 0},
	} {
		if got := tt.a.Times(tt.n); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

// What is more than the largest amount is that, and never a small or a negative one.
func TestAmountsStopAtTheLargest(t *testing.T) {
	for name, tt := range map[string]struct{ got, want Amount }{
		"a sum":                         {Amount(2).Plus(3), 5},
		"the largest sum":               {(MaxAmount - 1).Plus(1), MaxAmount},
		"a sum beyond it":               {MaxAmount.Plus(1), MaxAmount},
		"a sum of two":                  {MaxAmount.Plus(MaxAmount), MaxAmount},
		"a quotient that is the number": {quotient(1, 0, 1<<32), 1 << 32},
		"a quotient, rounded up":        {quotient(0, 7, 2), 4},
		"the largest quotient":          {quotient(0, math.MaxInt64, 1), MaxAmount},
		"one that rounds beyond it":     {quotient(0, math.MaxUint64, 2), MaxAmount},
		"one of 64 bits":                {quotient(0, math.MaxUint64, 1), MaxAmount},
		"one of more":                   {quotient(7, 0, 7), MaxAmount},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %d, want %d", name, tt.got, tt.want)
		}
	}
	s := sum{high: math.MaxUint64, low: math.MaxUint64}
	for range 2 {
		if s.add(1, 1); s.amount() != MaxAmount {
			t.Errorf("a sum of more than 128 bits: %d", s.amount())
		}
	}
}

func TestAmountIsWrittenAsADecimal(t *testing.T) {
	for a, want := range map[Amount]string{0: "0", 1: "0.000000001", Unit: "1", 30_048_000: "0.030048", 50 * Unit: "50", -Unit - 5e8: "-1.5", MaxAmount: "9223372036.854775807"} {
		if got := a.String(); got != want {
			t.Errorf("%d is %q, want %q", int64(a), got, want)
		}
		if back, err := ParseAmount(want); a >= 0 && (err != nil || back != a) {
			t.Errorf("%q is read as %d, %v", want, back, err)
		}
	}
}

// Sums are exact, rounded up once, and stop at the largest amount.
func TestSumsAreExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		var s sum
		exact := new(big.Int)
		for range random.IntN(4) {
			tokens, each := random.Int64()>>random.IntN(63), PerToken(random.Int64()>>random.IntN(63))
			s.add(tokens, each)
			exact.Add(exact, new(big.Int).Mul(big.NewInt(tokens), big.NewInt(int64(each))))
		}
		up, rest := new(big.Int).DivMod(exact, big.NewInt(perAmount), new(big.Int))
		if rest.Sign() > 0 {
			up.Add(up, big.NewInt(1))
		}
		want := MaxAmount
		if up.IsInt64() {
			want = Amount(up.Int64())
		}
		if got := s.amount(); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	}
}

func TestExchange(t *testing.T) {
	var x Exchange
	x.Set("USD", "CNY", 7_200_000_000)
	for name, tt := range map[string]struct {
		a        Amount
		from, to Currency
		want     Amount
	}{
		"same":       {5, "CNY", "CNY", 5},
		"exact":      {10, "USD", "CNY", 72},
		"rounded up": {1, "USD", "CNY", 8},
		"too much":   {math.MaxInt64 / 2, "USD", "CNY", MaxAmount},
		"no rate":    {1, "CNY", "USD", MaxAmount},
	} {
		if got := x.Convert(tt.a, tt.from, tt.to); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	x.Set("EUR", "CNY", 8_000_000_000)
	if got := x.Convert(10, "USD", "CNY"); got != 72 {
		t.Errorf("with a second rate: %d, want 72", got)
	}
	if got := (*Exchange)(nil).Convert(3, "USD", "CNY"); got != MaxAmount {
		t.Errorf("without any rate: %d, want the most", got)
	}
	if (*Exchange)(nil).Convert(3, "USD", "USD") != 3 || x.Converts("CNY", "USD") || !x.Converts("USD", "CNY") {
		t.Error("what converts is not told")
	}
	for text, ok := range map[string]bool{"CNY": true, "cny": false, "RMBY": false, "": false, "C1Y": false} {
		if _, err := ParseCurrency(text); (err == nil) != ok {
			t.Errorf("currency %q: %v", text, err)
		}
	}
}
