package wire

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// What is written is known without being read, and is what reading finds: of all conversations of up to three messages, with and
// without what may stand beside them.
func TestChatKnowsWhatItWrites(t *testing.T) {
	messages := map[byte]func(*Chat){
		's': func(c *Chat) { c.Text("system", []byte("be short")) },
		'u': func(c *Chat) { c.Text("user", []byte(`a \"b\" \u6211`)) },
		'a': func(c *Chat) { c.Text("assistant", []byte("c")) },
		'e': func(c *Chat) { c.Text("user", nil) },
		'p': func(c *Chat) {
			c.User(jsontext.Value(`[{"type":"text","text":"d"},{"type":"image_url","image_url":{"url":"https://x/y.png"}}]`))
		},
		'k': func(c *Chat) { c.User(jsontext.Value(`"a text"`)) },
		't': func(c *Chat) { c.Message(`{"role":"tool","tool_call_id":"t","content":`, []byte(`"r"`), "}") },
		'j': func(c *Chat) {
			var held Chat
			held.Text("system", []byte("held"))
			held.Text("user", []byte("held"))
			c.Join(&held)
		},
	}
	conversations := []string{""}
	for i := 0; i < len(conversations) && len(conversations[i]) < 3; i++ {
		for m := range messages {
			conversations = append(conversations, conversations[i]+string(m))
		}
	}
	besides := map[string]func(*Chat) string{
		"nothing":     func(*Chat) string { return "" },
		"a stream":    func(c *Chat) string { c.Stream = true; return "" },
		"tokens":      func(c *Chat) string { c.MaxTokens = jsontext.Value("9"); return "" },
		"many tokens": func(c *Chat) string { c.MaxTokens = jsontext.Value("9007199254740993"); return "" },
		"numbers": func(c *Chat) string {
			c.Member("temperature", []byte("0.5"))
			c.Member("top_p", []byte("1"))
			return ""
		},
		"a user":       func(c *Chat) string { c.Member("user", []byte(`"u"`)); return "" },
		"tools":        func(c *Chat) string { return `,"tools":[{"type":"function","function":{"name":"f"}}]` },
		"instructions": func(c *Chat) string { c.Lead("system", []byte("s")); return "" },
		"a probe":      func(c *Chat) string { c.Lead("user", []byte("s")); return "" },
		"all": func(c *Chat) string {
			c.Stream, c.MaxTokens = true, jsontext.Value("9")
			c.Lead("system", []byte("s"))
			c.Member("top_p", []byte("1"))
			return ""
		},
	}
	plain := 0
	for name, beside := range besides {
		for _, conversation := range conversations {
			c := Chat{Model: `m "1"`}
			for i := range conversation {
				messages[conversation[i]](&c)
			}
			others := beside(&c)
			if conversation == "" && c.lead == "" {
				continue // that is none
			}
			got, err := c.Request(len(others), func(dst []byte) []byte { return append(dst, others...) })
			if err != nil {
				t.Fatalf("%s and %s: %v", conversation, name, err)
			}
			want, err := ParseChatRequest(got.Body, Limits{})
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s and %s:\nknown is %+v\nread is  %+v (%v)", conversation, name, got, want, err)
			}
			if want.Plain {
				plain++
			}
			if other := string(got.WithModel("n")); !strings.HasPrefix(other, `{"model":"n","messages":`) || string(got.WithUsage().Body) != string(got.Body) {
				t.Errorf("with another model it is %s", other)
			}
		}
	}
	if plain < 100 {
		t.Errorf("only %d were plain", plain)
	}
}

// What a form takes and chat completions do not is refused, as where a client had written it.
func TestChatIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ member, param string }{
		"a user who is none": {`7`, "user"},
		"too deep":           {`"u","metadata":` + strings.Repeat("[", 99) + strings.Repeat("]", 99), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var chat Chat
			chat.Model = "m"
			chat.Text("user", []byte("q"))
			chat.Member("user", []byte(c.member))
			_, err := chat.Request(0, func(dst []byte) []byte { return dst })
			if refused, ok := errors.AsType[*RequestError](err); !ok || refused.Param != c.param {
				t.Errorf("%v", err)
			}
		})
	}
}

func BenchmarkChat(b *testing.B) {
	for _, n := range []int{1, 20} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			text := []byte(strings.Repeat("x", 600))
			for b.Loop() {
				c := Chat{Model: "m"}
				for range n {
					c.Text("user", text)
				}
				if _, err := c.Request(0, func(dst []byte) []byte { return dst }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
