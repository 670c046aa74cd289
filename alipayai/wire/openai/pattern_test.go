package openai

import "testing"

// What Python's re compiles, and takes as JavaScript does, each tried there.
func TestPortablePatterns(t *testing.T) {
	for pattern, want := range map[string]bool{
		"":                       true,
		`^[a-z0-9_-]{1,64}$`:     true,
		`^\d{4}-\d\d-\d\d$`:      true,
		`^(?:a|b)+?$`:            true,
		`^\/[\w.-]*$`:            true,
		`[\]\\^-]`:               true,
		`[^-a]`:                  true,
		`[a-]`:                   true,
		`\x41\u00e9\0\t`:         true,
		`日本`:                     true,
		`[\b]`:                   true,
		`a{2,}[(?=]`:             true,
		`^(?!__.*__$)[^\p{Cc}]$`: false, // Claude Code's
		`[^\p{Cc}\p{Cf}]`:        false,
		`\P{L}`:                  false,
		`^(?=.*@).+$`:            false,
		`(?<!a)b`:                false,
		`(?<=a)b`:                false,
		`(?<year>\d+)`:           false,
		`(?i)a`:                  false,
		`\k<year>`:               false,
		`(a)\1`:                  false,
		`\u{1F600}`:              false,
		`\u00e`:                  false,
		`\xg1`:                   false,
		`\cA`:                    false,
		`\z`:                     false,
		`\00`:                    false,
		`[\w-.]`:                 false,
		`[a-\d]`:                 false,
		`[\B]`:                   false,
		`[]`:                     false,
		`[^]`:                    false,
		`[a`:                     false,
		`[a\`:                    false,
		`\`:                      false,
	} {
		if got := isPortable(pattern); got != want {
			t.Errorf("%q: %t", pattern, got)
		}
	}
}
