package credentials

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const aKey = "sk-proj_9fQz/Lw7+TbX4mVr2Kd8"

// encodings that are in use, made without the code under test.
var spellings = map[string]func(string) string{
	"raw":                  func(s string) string { return s },
	"upper case":           strings.ToUpper,
	"URL":                  url.QueryEscape,
	"URL, lower case":      func(s string) string { return strings.ToLower(url.QueryEscape(s)) },
	"URL, twice":           func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	"URL, every character": func(s string) string { return percent(s, "%%%02X") },
	"base64":               func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64, 1 before":     func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte("x" + s + "yz")) },
	"base64, 2 before":     func(s string) string { return base64.URLEncoding.EncodeToString([]byte("xy" + s + "z")) },
	"base64, Basic":        func(s string) string { return base64.StdEncoding.EncodeToString([]byte("app:" + s)) },
	"base64 of base64": func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte("x" + base64.StdEncoding.EncodeToString([]byte("xx"+s))))
	},
	"base64 of hex":     func(s string) string { return base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString([]byte(s)))) },
	"hex of base64":     func(s string) string { return hex.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(s)))) },
	"hex":               func(s string) string { return hex.EncodeToString([]byte(s)) },
	"hex, upper":        func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	"hex, spaced":       func(s string) string { return percent(s, "%02x ") },
	"hex, colons":       func(s string) string { return strings.TrimSuffix(percent(s, "%02X:"), ":") },
	"hex, dashes":       func(s string) string { return strings.TrimSuffix(percent(s, "%02x-"), "-") },
	"hex, dots":         func(s string) string { return strings.TrimSuffix(percent(s, "%02x."), ".") },
	"hex, an array":     func(s string) string { return strings.TrimSuffix(percent(s, "0x%02x, "), ", ") },
	"hex, colons, JSON": func(s string) string { return percent(strings.TrimSuffix(percent(s, "%02X:"), ":"), `\u%04x`) },
	"base32":            func(s string) string { return base32.StdEncoding.EncodeToString([]byte(s)) },
	"base32, 1 before":  func(s string) string { return base32.StdEncoding.EncodeToString([]byte("x" + s)) },
	"base32, 2 before":  func(s string) string { return strings.ToLower(base32.StdEncoding.EncodeToString([]byte("xy" + s))) },
	"base32, 3 before":  func(s string) string { return base32.StdEncoding.EncodeToString([]byte("xyz" + s + "z")) },
	"base32, 4 before":  func(s string) string { return base32.StdEncoding.EncodeToString([]byte("xyzx" + s)) },
	"quoted-printable":  func(s string) string { return percent(s, "=%02X") },
	"JSON":              func(s string) string { return percent(s, `\u%04x`) },
	"JSON in JSON":      func(s string) string { return percent(s, `\\u%04x`) },
	"JSON, slashes":     func(s string) string { return strings.ReplaceAll(s, "/", `\/`) },
	"C":                 func(s string) string { return percent(s, `\x%02x`) },
	"HTML":              func(s string) string { return html.EscapeString(percent(s, "&#%d;")) },
	"HTML, hex":         func(s string) string { return percent(s, "&#x%x;") },
	"spaces":            func(s string) string { return strings.Join(strings.Split(s, ""), " ") },
	"lines":             func(s string) string { return strings.Join(strings.Split(s, ""), "\r\n") },
	"zero width":        func(s string) string { return strings.Join(strings.Split(s, ""), "\u200b") },
	"soft hyphens":      func(s string) string { return strings.Join(strings.Split(s, ""), "\u00ad") },
	"non-breaking":      func(s string) string { return strings.Join(strings.Split(s, ""), "\u00a0") },
	"escaped new lines": func(s string) string { return strings.Join(strings.Split(s, ""), `\n`) },
	"base64 in lines": func(s string) string {
		return strings.Join(strings.SplitAfter(base64.StdEncoding.EncodeToString([]byte(s)), "W"), "\r\n ")
	},
	"in part":      func(s string) string { return s[3:15] },
	"its tail":     func(s string) string { return s[len(s)-12:] },
	"hex, in part": func(s string) string { return hex.EncodeToString([]byte(s))[7:19] },
}

func percent(s, verb string) string {
	var out strings.Builder
	for _, b := range []byte(s) {
		fmt.Fprintf(&out, verb, b)
	}
	return out.String()
}

// traces are the letters and digits of a text, by which a leak is recognised without the code under test.
func traces(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, s)
}

func TestSpellings(t *testing.T) {
	var f Filter
	f.Add(aKey)
	for name, spell := range spellings {
		t.Run(name, func(t *testing.T) {
			spelt := spell(aKey)
			text := "the key (" + spelt + ") is refused"
			got := f.Text(text)
			if !strings.Contains(got, Hidden) || !strings.HasPrefix(got, "the key (") || !strings.HasSuffix(got, ") is refused") {
				t.Errorf("%q became %q", text, got)
			}
			left := traces(strings.NewReplacer("the key (", "", ") is refused", "", Hidden, "").Replace(got))
			if len(left) > 14 {
				t.Errorf("%q is left of %q", left, spelt)
			}
			if again := f.Text(got); again != got {
				t.Errorf("%q became %q", got, again)
			}
		})
	}
}

func TestTextsWithoutSecrets(t *testing.T) {
	f := new(Filter)
	f.Add(aKey, "short", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC")
	for _, text := range []string{
		"", "short", "sk-proj_9fQ", "a%zz\\u12 & &amp; %41", "application/json", "gpt-4o-mini-2024-07-18", "no-store, max-age=0",
		"2026-11-28T14:30:46.123", "00:1a:2b:3c:4d:5e:6f", "1f0e-4d2c-a1b2-c3d4", "a=41=42", "1.2.3.4, 5.6.7.8", "0x12, 0x34", "=", "0x", ":",
		"\xff\xfe\x00", strings.Repeat("sk-proj_9f ", 100), "2021001234567890",
	} {
		if got := f.Text(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
		f.With(nil).Text(text)
		if !f.Passed(text) && len(text) <= maxPassedText {
			t.Errorf("%q was not remembered", text)
		}
	}
}

// The models, types and versions of a site that has many of them do not push each other out.
func TestManyTextsArePassed(t *testing.T) {
	f := new(Filter)
	f.Add(aKey)
	texts := make([]string, 2*passedHashes)
	for range 2 {
		for i := range texts {
			texts[i] = fmt.Sprintf("model-%d", i)
			if !f.Passed(texts[i]) {
				f.With(nil).Text(texts[i])
			}
		}
	}
	passed := 0
	for _, text := range texts {
		if f.Passed(text) {
			passed++
		}
	}
	if passed < len(texts)*9/10 {
		t.Errorf("%d of %d texts are known to hold no secret", passed, len(texts))
	}
}

// What a secret decodes to is a secret as well: both are hidden.
func TestWhatSecretsStandFor(t *testing.T) {
	binary := []byte("\x01\x9f\xfe\x80\x33binary\xffsignature\x00of some bytes")
	for name, secret := range map[string]string{
		"base64":            base64.StdEncoding.EncodeToString(binary),
		"base64 for URLs":   base64.RawURLEncoding.EncodeToString(binary),
		"base64, in lines":  strings.Join(strings.SplitAfter(base64.StdEncoding.EncodeToString(binary), "m"), "\n"),
		"base64, in a URL":  url.QueryEscape(base64.StdEncoding.EncodeToString(binary)),
		"hexadecimal":       hex.EncodeToString(binary),
		"hexadecimal, case": strings.ToUpper(hex.EncodeToString(binary)),
	} {
		for form, text := range map[string]string{
			"hex": hex.EncodeToString(binary), "base64": base64.StdEncoding.EncodeToString(binary),
			"within base64": base64.StdEncoding.EncodeToString(append([]byte("x"), binary...)),
		} {
			t.Run(name+" as "+form, func(t *testing.T) {
				var f Filter
				f.Add(secret)
				if got := f.Text(text); len(got) > len(Hidden)+4 {
					t.Errorf("%q became %q", text, got)
				}
			})
		}
	}
}

func TestBasicHidesTheSecretAlone(t *testing.T) {
	const id, secret = "2021001234567890", "a client secret/ü!"
	header := base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))
	var f Filter
	f.Add(Basic(id, secret), secret)
	if got := f.Text(header); !strings.HasPrefix(got, header[:11]) || !strings.HasSuffix(got, Hidden) {
		t.Errorf("%q became %q", header, got)
	}
	if got := f.Text(base64.StdEncoding.EncodeToString([]byte(id))); strings.Contains(got, Hidden) {
		t.Errorf("the id is hidden: %q", got)
	}
}

// An identifier that is a secret may be written without its dashes.
func TestSeparatorsOfASecret(t *testing.T) {
	const id = "9c1f0e4d-2c3b-4a59-8877-66554433ab21"
	var f Filter
	f.Add(id)
	for _, text := range []string{id, strings.ReplaceAll(id, "-", ""), strings.ReplaceAll(id, "-", ":"), strings.ToUpper(id)} {
		if got := f.Text("id " + text + "."); got != "id "+Hidden+"." {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// Of what belongs together, no part goes on in the next.
func TestTextsAreReadTogether(t *testing.T) {
	f := new(Filter)
	f.Add(aKey)
	h := http.Header{"A": {aKey[:9], aKey[9:18]}, "B": {aKey[18:]}, "C": {"public"}}
	f.With(nil).Header(h)
	if got := fmt.Sprint(h); got != fmt.Sprintf("map[A:[%s %[1]s] B:[%[1]s] C:[public]]", Hidden) {
		t.Error(got)
	}
}

func TestSecretsOfOneRequest(t *testing.T) {
	f := new(Filter)
	m := f.With(func() []string { return []string{aKey} })
	if got := m.Text("x " + aKey + " y"); got != "x "+Hidden+" y" {
		t.Error(got)
	}
	if got := string(m.Bytes([]byte("x " + aKey + " y"))); got != "x "+Hidden+" y" {
		t.Error(got)
	}
	if got := (*Filter)(nil).With(func() []string { return []string{aKey} }).Text(aKey); got != Hidden {
		t.Error(got)
	}
	if got := f.Text(aKey); got != aKey {
		t.Errorf("another request hides %q", got)
	}
}

type rotating struct {
	secrets []string
	changes uint64
}

func (r *rotating) Credentials() []string      { return r.secrets }
func (r *rotating) CredentialsChanged() uint64 { return r.changes }

func TestSourcesAreFollowed(t *testing.T) {
	f, source := new(Filter), &rotating{secrets: []string{"the first access token"}}
	stop := f.Watch(source)
	if got := f.Text("the first access token"); got != Hidden {
		t.Error(got)
	}
	source.secrets, source.changes = append(source.secrets, "a second access token"), 1
	if got := f.Text("the first access token, a second access token"); got != Hidden+", "+Hidden {
		t.Error(got)
	}
	stop()
	if got := f.Text("a second access token"); got != "a second access token" {
		t.Error(got)
	}
}

// What a new token costs does not depend on how many secrets were known before, nor does a new secret cost them again.
func TestWhatIsKnownIsNotCompiledAgain(t *testing.T) {
	tests := map[string]func(f *Filter, source *rotating, n int){
		"token": func(_ *Filter, source *rotating, n int) {
			source.secrets, source.changes = []string{numbered("token", n)}, uint64(n)
		},
		"secret": func(f *Filter, _ *rotating, n int) { f.Add(numbered("secret", n)) },
		"reload": func(f *Filter, _ *rotating, n int) { f.Watch(&rotating{secrets: []string{numbered("another", n)}})() },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			allocations := func(known int) float64 {
				f, source := new(Filter), &rotating{secrets: []string{"the first access token"}}
				for n := range known {
					f.Add(numbered("known", n))
				}
				f.Watch(source)
				n := 0
				return testing.AllocsPerRun(5, func() {
					n++
					change(f, source, n)
					if got := f.Text("before " + numbered("known", known-1) + " after"); got != "before "+Hidden+" after" {
						t.Fatal(got)
					}
				})
			}
			if few, many := allocations(1), allocations(20); many > few+10 {
				t.Errorf("%v allocations beside one secret, %v beside 20", few, many)
			}
		})
	}
}

// numbered is another secret for each number.
func numbered(name string, n int) string {
	return fmt.Sprintf("%s-%x", name, sha256.Sum256([]byte{byte(n)}))
}

func FuzzFilter(f *testing.F) {
	for _, spell := range spellings {
		f.Add(aKey, spell(aKey), "before ", " after")
	}
	f.Add("", "", "", "")
	f.Add("%25%32%35%25\\u0025", "\\u00", "%", "&#")
	f.Fuzz(func(t *testing.T, secret, leaked, before, after string) {
		if len(secret) > 256 || len(leaked) > 1024 {
			return
		}
		var filter Filter
		filter.Add(secret)
		for _, text := range []string{before + secret + after, before + leaked + after} {
			got := filter.Text(text)
			if strings.Contains(text, Hidden) || strings.Contains(Hidden, secret) {
				continue
			}
			if !strings.Contains(got, Hidden) && got != text {
				t.Errorf("%q became %q, without a mark", text, got)
			}
			for i := 0; i+gram <= len(secret); i++ {
				part := secret[i : i+gram]
				// A part that does not show is not looked for.
				if len(plain(part, false).text) == gram && strings.Contains(got, part) {
					t.Errorf("%q holds %q", got, part)
				}
			}
		}
	})
}

func BenchmarkPassed(b *testing.B) {
	f := new(Filter)
	f.Add(aKey, strings.Repeat("MIIEvQIBADANBgkqhkiG9w0B", 70))
	h := http.Header{
		"Content-Type": {"application/json"}, "Cache-Control": {"no-cache, must-revalidate"}, "Openai-Processing-Ms": {"812"},
		"X-Ratelimit-Limit-Requests": {"10000"}, "X-Ratelimit-Remaining-Tokens": {"149984"}, "X-Ratelimit-Reset-Tokens": {"6ms"},
	}
	for _, values := range h {
		f.With(nil).Text(values[0])
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, values := range h {
			if !f.Passed(values[0]) {
				b.Fatal(values)
			}
		}
	}
}

func BenchmarkSearch(b *testing.B) {
	f := new(Filter)
	f.Add(aKey)
	text := []byte(strings.Repeat("an answer that holds no secret, of which a log is full ", 20))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		f.With(nil).Bytes(text)
	}
}

func BenchmarkOwnSignature(b *testing.B) {
	for name, size := range map[string]int{"HMAC": 32, "RSA": 256} {
		signature := base64.StdEncoding.EncodeToString([]byte(percent(strings.Repeat("\x17", size), "%c")))
		b.Run(name, func(b *testing.B) {
			f := new(Filter)
			for b.Loop() {
				f.With(func() []string { return []string{signature} }).Bytes([]byte("Thu, 01 Jan 2026 12:00:00 GMT"))
			}
		})
	}
}
