package alipaycaddy

import (
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

const mistakesFile = "testdata/mistakes.txt"

// mistake is an entry of the table: a title, lines of a Caddyfile, indented by a
// tab, and the message after an arrow.
type mistake struct {
	title, input, message string
	line                  int // the message's in the file, from 0
}

// TestMistakes adapts the mistakes of the table, each within the Caddyfile of its
// section, and compares the text of the error.
func TestMistakes(t *testing.T) {
	eachMistake(t, mistakesFile, func(t *testing.T, input string) string {
		if formatted := string(caddyfile.Format([]byte(input))); formatted != input {
			t.Errorf("the Caddyfile is not formatted; it should be\n%s", formatted)
		}
		got, failed := adapted(t, input)
		if !failed {
			t.Fatalf("no mistake: adapted to\n%s", got)
		}
		return strings.TrimSuffix(got, "\n")
	})
}

// eachMistake compares what says has to say of each mistake of a table, within its section, with the table.
func eachMistake(t *testing.T, file string, says func(t *testing.T, input string) string) {
	t.Helper()
	lines, entries := readMistakes(t, file)
	var section mistake
	seen := make(map[string]bool)
	for _, m := range entries {
		if title, ok := strings.CutPrefix(m.title, "== "); ok {
			m.title, section = title, m
			if strings.Count(m.input, "INPUT\n") != 1 || strings.Count(m.message, "MESSAGE") != 1 {
				t.Fatalf("section %s: one INPUT and one MESSAGE are missing", title)
			}
			continue
		}
		t.Run(section.title+"/"+m.title, func(t *testing.T) {
			input := section.around(m)
			if seen[input] {
				t.Error("the mistake is in the table twice")
			}
			seen[input] = true
			got := says(t, input)
			before, after, _ := strings.Cut(section.message, "MESSAGE")
			if *update {
				got, ok := strings.CutPrefix(strings.TrimSuffix(got, after), before)
				if !ok || strings.Contains(got, "\n") {
					t.Fatalf("the message is not one line of its section's form: %q", got)
				}
				lines[m.line] = arrow + got
			} else if want := before + m.message + after; got != want {
				t.Errorf("the message is\n%s\nwant\n%s", got, want)
			}
		})
	}
	if len(entries) == 0 {
		t.Fatal("no mistakes")
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// around puts a mistake in its section's Caddyfile, indented as INPUT is there.
func (section mistake) around(m mistake) string {
	var b strings.Builder
	for line := range strings.Lines(section.input) {
		indent, found := strings.CutSuffix(line, "INPUT\n")
		if !found {
			b.WriteString(line)
			continue
		}
		for line := range strings.Lines(m.input) {
			b.WriteString(indent + line)
		}
	}
	return b.String()
}

const arrow = "=> "

// readMistakes gives the lines of a table and its entries.
func readMistakes(t *testing.T, file string) (lines []string, entries []mistake) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines = strings.Split(string(content), "\n")
	var m mistake
	for i, line := range lines {
		if message, ok := strings.CutPrefix(line, arrow); ok {
			m.message, m.line = message, i
			if m.title == "" || m.input == "" {
				t.Fatalf("%s:%d: a message without a title and a Caddyfile", file, i+1)
			}
			entries, m = append(entries, m), mistake{}
		} else if input, ok := strings.CutPrefix(line, "\t"); ok {
			m.input += input + "\n"
		} else if line != "" && !strings.HasPrefix(line, "# ") && line != "#" {
			if m != (mistake{}) {
				t.Fatalf("%s:%d: %q has no message", file, i+1, m.title)
			}
			m.title = line
		}
	}
	if m != (mistake{}) {
		t.Fatalf("%s: %q has no message", file, m.title)
	}
	return lines, entries
}
