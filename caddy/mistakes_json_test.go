package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// TestMistakesOfJSON provisions what a Caddyfile cannot say, or says only when modules are provisioned, and compares the
// text of the error. Nothing panics, and nothing stays in the pool.
func TestMistakesOfJSON(t *testing.T) {
	t.Setenv("TEST_SECRET", oauthSecret)
	eachMistake(t, "testdata/mistakes_json.txt", func(t *testing.T, input string) (says string) {
		defer func() {
			if p := recover(); p != nil {
				says = fmt.Sprintf("it panics: %v", p)
			}
		}()
		err := provisionJSON(t, input)
		if err == nil {
			t.Fatal("no mistake: it is accepted")
		}
		if left := references(); len(left) != 0 {
			t.Errorf("left in the pool: %v", left)
		}
		return err.Error()
	})
}

// provisionJSON builds the modules of a configuration, and starts nothing.
func provisionJSON(t *testing.T, text string) error {
	t.Helper()
	var config *caddy.Config
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	config.Admin = &caddy.AdminConfig{Disabled: true}
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		"default": {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output":"discard"}`)}},
	}}
	return caddy.Validate(config)
}

// modulesOfOptions are all that have options in JSON.
func modulesOfOptions() []any {
	return []any{new(App), new(Proxy), new(Moderate), new(KeysAuth), new(OAuth), new(SigningTransport), new(MatchCall), new(SandboxHandler)}
}

// Wherever an option takes a time, a size, a text or entries, what can never be right is refused, by its name; and nothing
// else is.
func TestValuesOfEachOption(t *testing.T) {
	count := make(map[string]int)
	for _, module := range modulesOfOptions() {
		eachOption(reflect.TypeOf(module).Elem(), "", func(document, option string, field reflect.Type, takes string) {
			check := func(value string) error {
				t.Helper()
				module := reflect.New(reflect.TypeOf(module).Elem()).Interface()
				if err := json.Unmarshal([]byte(strings.Replace(document, "VALUE", value, 1)), module); err != nil {
					t.Fatalf("%T: %s: %v", module, document, err)
				}
				return checkValues(module)
			}
			refused := func(value, why string) {
				t.Helper()
				count[why]++
				if err := check(value); err == nil || !strings.Contains(err.Error(), option) && !strings.Contains(err.Error(), singular(option)) || !strings.Contains(err.Error(), why) {
					t.Errorf("%T %s: %s is %v, want %q", module, document, value, err, why)
				}
			}
			taken := func(value string) {
				t.Helper()
				if err := check(value); err != nil {
					t.Errorf("%T %s: %s is refused: %v", module, document, value, err)
				}
			}
			switch kind := field.Kind(); {
			case field == reflect.TypeFor[caddy.Duration]():
				refused("-1", "cannot be negative")
				refused("30", "in nanoseconds")
				refused("9223372036854775807", "100 years")
				taken(`"1ms"`)
				taken(fmt.Sprint(int64(90 * 24 * time.Hour)))
			case kind == reflect.Int64:
				refused("9223372036854775807", "1 TiB")
				taken("1099511627776")
			case kind == reflect.Int:
				refused("2305843009213693952", "1000000000000")
				taken("1000000000000")
			case kind == reflect.Float64:
				refused("1e300", "1000000000000")
				taken("1e12")
			case kind == reflect.String && takes == "":
				refused(`"{env.NAME}"`, "{$NAME} in a Caddyfile")
				refused(`"a {file./path} b"`, "not replaced here")
				refused(`"{http.request.host}"`, "not replaced here")
				taken(`"{nonce} {time_ms} {header.X-A}"`)
			case kind == reflect.String && takes == placeholderWithin:
				taken(`"a {env.NAME} b"`)
				refused(`"{http.request.host}"`, "not replaced here")
			case kind == reflect.String:
				taken(`"{env.NAME}"`)
			case kind == reflect.Pointer:
				refused("null", "is null")
			}
		})
	}
	for why, least := range map[string]int{"cannot be negative": 20, "1 TiB": 10, "not replaced here": 100, "is null": 5} {
		if count[why] < least {
			t.Errorf("%q is tried %d times, want at least %d", why, count[why], least)
		}
	}
}

// eachOption gives a document of each option of a module, with VALUE where its value stands, or that of its first entry. Of
// a pointer it is given that the entry is one.
func eachOption(module reflect.Type, around string, do func(document, option string, field reflect.Type, takes string)) {
	if around == "" {
		around = "VALUE"
	}
	within := func(text string) string { return strings.Replace(around, "VALUE", text, 1) }
	for field := range module.Fields() {
		option, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && field.IsExported() && option == "":
			eachOption(field.Type, around, do)
			continue
		case !field.IsExported() || option == "" || field.Type == reflect.TypeFor[json.RawMessage]():
			continue
		}
		document, of, entry := within(fmt.Sprintf(`{%q: VALUE}`, option)), field.Type, false
		for of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
			if of.Kind() == reflect.Map {
				document = strings.Replace(document, "VALUE", `{"7": VALUE}`, 1)
			} else {
				document = strings.Replace(document, "VALUE", `[VALUE]`, 1)
			}
			of, entry = of.Elem(), true
		}
		if of.Kind() == reflect.Pointer {
			if entry {
				do(document, option, of, "")
			}
			of = of.Elem()
		}
		if of.Kind() == reflect.Struct && of.PkgPath() == reflect.TypeFor[App]().PkgPath() {
			eachOption(of, document, do)
			continue
		}
		do(document, option, of, field.Tag.Get(placeholderTag))
	}
}
