package price

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Amount is an amount of money in billionths of a unit of its currency. All of them
// together, some nine thousand million units, fit one; what is more is MaxAmount.
type Amount int64

// Unit is one unit of a currency, and MaxAmount the largest amount.
const (
	Unit      Amount = 1e9
	MaxAmount Amount = math.MaxInt64
)

// PerToken is a price of one token in quadrillionths of a unit of its currency.
type PerToken int64

// perAmount is how many PerToken make a billionth.
const perAmount = 1e6

// Plus is the sum of amounts that are not negative; MaxAmount where it is more.
func (a Amount) Plus(b Amount) Amount {
	if sum := a + b; sum >= a {
		return sum
	}
	return MaxAmount
}

// Times is that often an amount that is not negative; MaxAmount where it is more.
func (a Amount) Times(n int64) Amount {
	if n <= 0 {
		return 0
	}
	if a > MaxAmount/Amount(n) {
		return MaxAmount
	}
	return a * Amount(n)
}

// String writes the amount as a decimal without needless zeros, such as 0.030048.
func (a Amount) String() string {
	whole, part := a/Unit, a%Unit
	sign := ""
	if a < 0 {
		sign, whole, part = "-", -whole, -part
	}
	text := sign + strconv.FormatInt(int64(whole), 10)
	if part == 0 {
		return text
	}
	return text + "." + strings.TrimRight(fmt.Sprintf("%09d", int64(part)), "0")
}

// errDecimal is the error for what is no decimal number that fits.
var errDecimal = errors.New("is not a number like 24, 0.5 or 1.5e-07")

// ParseAmount reads an amount, such as 50 or 0.05. It fails for one that is negative,
// too large, or finer than a billionth: money is not rounded when it is read.
func ParseAmount(text string) (Amount, error) {
	n, err := parseDecimal(text, 9)
	return Amount(n), err
}

// ParseCharged reads an amount that a vendor says that it has charged, rounded up to a billionth: JSON has it as a float.
func ParseCharged(text string) (Amount, error) {
	n, err := roundedDecimal(text, 9)
	return Amount(n), err
}

// ParsePerMillion reads a price of a million tokens, as vendors publish them.
func ParsePerMillion(text string) (PerToken, error) {
	n, err := parseDecimal(text, 15-6)
	return PerToken(n), err
}

// ParsePerToken reads a price of one token, as LiteLLM's price file has them.
func ParsePerToken(text string) (PerToken, error) {
	n, err := parseDecimal(text, 15)
	return PerToken(n), err
}

// parseDecimal reads a decimal number that is not negative, in JSON's notation, and
// gives it times 10^scale. It is exact, or fails.
func parseDecimal(text string, scale int) (int64, error) {
	n, exact, err := decimal(text, scale)
	if err == nil && !exact {
		return 0, fmt.Errorf("is finer than this gateway counts: at most %d decimal places", scale)
	}
	return n, err
}

// roundedDecimal is parseDecimal, rounded up.
func roundedDecimal(text string, scale int) (int64, error) {
	n, exact, err := decimal(text, scale)
	if err == nil && !exact && n < math.MaxInt64 {
		n++
	}
	return n, err
}

// decimal reads a decimal number times 10^scale, rounded down where that is not exact.
func decimal(text string, scale int) (n int64, exact bool, err error) {
	number, exponent, found := strings.Cut(strings.ToLower(text), "e")
	shift := 0
	if found {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil || shift < -100 || shift > 100 {
			return 0, false, errDecimal
		}
	}
	whole, part, pointed := strings.Cut(number, ".")
	digits := whole + part
	if whole == "" || pointed && part == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false, errDecimal
	}
	zeros := scale + shift - len(part)
	if exact = true; zeros < 0 {
		cut := max(len(digits)+zeros, 0)
		exact = strings.Trim(digits[cut:], "0") == ""
		if digits, zeros = digits[:cut], 0; digits == "" {
			return 0, exact, nil
		}
	}
	if n, err = strconv.ParseInt(digits+strings.Repeat("0", zeros), 10, 64); err != nil {
		return 0, false, errors.New("is too large")
	}
	return n, exact, nil
}

// sum adds up what tokens cost, exactly: 128 bits of PerToken.
type sum struct{ high, low uint64 }

func (s *sum) add(tokens int64, each PerToken) {
	high, low := bits.Mul64(uint64(max(tokens, 0)), uint64(each))
	var carry uint64
	s.low, carry = bits.Add64(s.low, low, 0)
	s.high, carry = bits.Add64(s.high, high, carry)
	if carry != 0 {
		s.high, s.low = math.MaxUint64, math.MaxUint64
	}
}

// amount is the sum, rounded up.
func (s *sum) amount() Amount { return quotient(s.high, s.low, perAmount) }

// quotient divides and rounds up; MaxAmount for what is more.
func quotient(high, low, by uint64) Amount {
	if high >= by {
		return MaxAmount
	}
	n, rest := bits.Div64(high, low, by)
	if n >= uint64(MaxAmount) {
		return MaxAmount
	}
	if rest != 0 {
		n++
	}
	return Amount(n)
}

// Currency is a currency's code, as ISO 4217 has them.
type Currency string

// ParseCurrency reads the three letters of a currency's code.
func ParseCurrency(text string) (Currency, error) {
	if len(text) != 3 || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "", fmt.Errorf("currency %q is not a code of three capital letters, such as CNY or USD", text)
	}
	return Currency(text), nil
}

// Exchange converts between currencies, by rates of the operator.
type Exchange struct{ rates map[[2]Currency]Amount }

// Set says what one unit of a currency is worth in another, in Units.
func (x *Exchange) Set(from, to Currency, rate Amount) {
	if x.rates == nil {
		x.rates = make(map[[2]Currency]Amount)
	}
	x.rates[[2]Currency{from, to}] = rate
}

// Converts reports whether there is a rate.
func (x *Exchange) Converts(from, to Currency) bool {
	_, ok := x.rate(from, to)
	return ok
}

func (x *Exchange) rate(from, to Currency) (Amount, bool) {
	if from == to {
		return Unit, true
	}
	if x == nil {
		return 0, false
	}
	rate, ok := x.rates[[2]Currency{from, to}]
	return rate, ok
}

// Convert gives an amount in another currency, rounded up; MaxAmount where there is no
// rate, so that a budget without one permits nothing.
func (x *Exchange) Convert(a Amount, from, to Currency) Amount {
	rate, ok := x.rate(from, to)
	if !ok {
		return MaxAmount
	}
	high, low := bits.Mul64(uint64(max(a, 0)), uint64(rate))
	return quotient(high, low, uint64(Unit))
}
