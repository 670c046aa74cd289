package redisstore

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"
)

// What stands in Redis keeps its bytes: replicas of the version before read it.
func TestLayoutIsThatOfRunningReplicas(t *testing.T) {
	owner := KeysOf("acme")
	var sum [32]byte
	copy(sum[:], "a hash of thirty-two bytes......")
	for name, tt := range map[string]struct{ got, want string }{
		"key":    {owner.Key("window"), "alipayai:{822b33ad87c148a0a20a5ba7cd5ebcaa}:window"},
		"sum":    {KeysOfSum(sum).Key("claim:x"), "alipayai:{YSBoYXNoIG9mIHRoaXJ0eS10d28gYnl0ZXMuLi4uLi4}:claim:x"},
		"digest": {Digest(nil), "e3b0c44298fc1c149afbf4c8996fb924"},
		"whole":  {hex.EncodeToString(Doubles(1, -2, 1<<53)), "3ff0000000000000c0000000000000004340000000000000"},
		"texts":  {hex.EncodeToString(Texts("a", "", "bc")), "0000000161" + "00000000" + "000000026263"},
		"text":   {hex.EncodeToString(AppendText(nil, "abc")), "03616263"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", name, tt.got, tt.want)
		}
	}
}

func TestReaderBoundsNumbers(t *testing.T) {
	for name, bad := range map[string]float64{
		"not a number": math.NaN(), "endless": math.Inf(1), "endless back": math.Inf(-1), "negative": -1, "too large": 101, "1e308": 1e308,
	} {
		if r := NewReader(AppendDouble(nil, bad)); r.Whole(100) != 0 || r.OK() {
			t.Errorf("%s is whole", name)
		}
		if r := NewReader(AppendDouble(nil, bad)); r.Count(8) != 0 || r.OK() {
			t.Errorf("%s is a count", name)
		}
	}
	if r := NewReader(AppendDouble(nil, math.NaN())); r.Double() != 0 || r.OK() {
		t.Error("what is not a number is read")
	}
	r := NewReader(append(Doubles(100, 2), make([]byte, 16)...))
	if r.Whole(100) != 100 || r.Count(8) != 2 || !r.OK() || r.End() {
		t.Error("numbers within their bounds are not read")
	}
	// What follows a value that is not there is not there either.
	if r := NewReader("\x00\x00\x00\x05abc"); r.Text() != "" || r.Uvarint() != 0 || r.OK() || r.End() {
		t.Error("a text beyond the end is read")
	}
	if r := NewReader([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}); r.Uvarint() != 0 || r.OK() {
		t.Error("a varint of more than 64 bits is read")
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("ncdtuvVx"), append(Doubles(1, 2, 3), Texts("a", "bc")...))
	f.Add([]byte("vVxr"), AppendText(binary.AppendVarint(nil, -5), "abc"))
	f.Fuzz(func(t *testing.T, plan, stored []byte) {
		b, s := NewReader(stored), NewReader(string(stored))
		read, failed := 0, false
		for _, step := range plan {
			var n int
			var first, second any
			switch step {
			case 'n':
				first, second = b.Whole(MaxWhole), s.Whole(MaxWhole)
			case 'c':
				n = b.Count(8)
				first, second = n, s.Count(8)
			case 'd':
				first, second = b.Double(), s.Double()
			case 't':
				text := b.Text()
				n, first, second = len(text), text, s.Text()
			case 'u':
				first, second = b.Uint64(), s.Uint64()
			case 'v':
				before := b.Rest()
				b = NewReader(before)
				if failed {
					b.fail()
				}
				want, _ := binary.Uvarint(before)
				got := b.Uvarint()
				if b.OK() && got != want {
					t.Fatalf("varint %d, want %d", got, want)
				}
				first, second = got, s.Uvarint()
			case 'V':
				first, second = b.Varint(), s.Varint()
			case 'x':
				text := b.VarText()
				n, first, second = len(text), text, s.VarText()
			case 'r':
				first, second = string(b.Rest()), s.Rest()
			default:
				continue
			}
			if step != 'c' {
				read += n
			}
			if read > len(stored) || n > len(stored) {
				t.Fatalf("%q reads more than there is", step)
			}
			if first != second || b.OK() != s.OK() || failed && b.OK() {
				t.Fatalf("%q: bytes give %v, %t and the text %v, %t", step, first, b.OK(), second, s.OK())
			}
			failed = !b.OK()
		}
	})
}
