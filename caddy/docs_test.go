package alipaycaddy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// parsed gives the package's files without its tests, by name.
func parsed(t *testing.T) (map[string]*ast.File, *token.FileSet) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	positions := token.NewFileSet()
	files := make(map[string]*ast.File)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(positions, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = file
	}
	return files, positions
}

// eachField calls do for every field that is an option in JSON.
func eachField(t *testing.T, files map[string]*ast.File, do func(owner, option string, field *ast.Field)) {
	t.Helper()
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			declared, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			s, ok := declared.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range s.Fields.List {
				if field.Tag == nil || len(field.Names) != 1 || !field.Names[0].IsExported() {
					continue
				}
				tag, err := strconv.Unquote(field.Tag.Value)
				if err != nil {
					t.Fatal(err)
				}
				option, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
				if option != "" && option != "-" {
					do(declared.Name.Name, option, field)
				}
			}
			return true
		})
	}
}

// fieldDoc gives the documentation of one option in JSON.
func fieldDoc(t *testing.T, owner, option string) (doc string) {
	t.Helper()
	files, _ := parsed(t)
	eachField(t, files, func(of, name string, field *ast.Field) {
		if of == owner && name == option {
			doc = field.Doc.Text()
		}
	})
	return doc
}

// TestFieldsAreDocumented holds that Caddy's module documentation, which is made
// of these comments, says of each option what happens without it.
func TestFieldsAreDocumented(t *testing.T) {
	files, positions := parsed(t)
	fields := 0
	eachField(t, files, func(owner, option string, field *ast.Field) {
		fields++
		doc := field.Doc.Text()
		if !strings.Contains(doc, "Default: ") && !strings.Contains(doc, "Required") {
			t.Errorf("%s: %s.%s (%s) says neither Default nor Required: %q",
				positions.Position(field.Pos()), owner, field.Names[0].Name, option, doc)
		}
	})
	if fields < 40 {
		t.Errorf("only %d options were found", fields)
	}
}

// TestPlaceholdersAreDocumented holds that an option says so where placeholders are replaced in it: elsewhere they are refused.
func TestPlaceholdersAreDocumented(t *testing.T) {
	files, positions := parsed(t)
	eachField(t, files, func(owner, option string, field *ast.Field) {
		tag, _ := strconv.Unquote(field.Tag.Value) // eachField has
		takes := reflect.StructTag(tag).Get(placeholderTag)
		if (takes == placeholderWhole || takes == placeholderWithin) && !strings.Contains(field.Doc.Text(), "laceholder") {
			t.Errorf("%s: %s.%s (%s) does not say that it takes placeholders", positions.Position(field.Pos()), owner, field.Names[0].Name, option)
		}
	})
}

// The headings of README.md under which options stand: those of a type's fields,
// and those that a file of the Caddyfile's syntax reads.
var (
	sectionOf = map[string]string{
		"App": "Global option `alipayai`", "Redis": "Option `store`", "Evidence": "Option `evidence`", "Alert": "Option `alert`",
		"Ledger": "Option `ledger`", "Rate": "Option `ledger`", "Price": "Option `price`", "Budget": "Directive `alipayai_proxy`",
		"Provider": "Option `provider`", "Token": "Option `provider`", "Limit": "Option `provider`", "Queue": "Option `provider`",
		"CodeRule": "Option `provider`", "Agent": "Option `provider`", "Request": "Option `request`", "Answer": "Option `answer`", "AnswerStream": "Option `answer`", "AnswerToolCalls": "Option `answer`", "AnswerFinish": "Option `answer`", "AnswerUsage": "Option `answer`", "TokenAnswer": "Option `answer`", "Signature": "Option `signature`", "SignatureAnswer": "Option `signature`",
		"Proxy": "Directive `alipayai_proxy`", "Breaker": "Directive `alipayai_proxy`", "CachedAnswer": "Directive `alipayai_proxy`",
		"Idempotency": "Directive `alipayai_proxy`", "Pack": "Directive `alipayai_proxy`", "KeyCalendar": "Calendar of the keys", "TenantLimit": "Directive `alipayai_proxy`",
		"KeysAuth": "Directive `alipayai_auth`", "SigningTransport": "`transport alipayai` of `reverse_proxy`",
		"Suite": "Option `suite`", "Moderator": "Option `moderator`", "ModeratorModel": "Option `moderator`", "Moderate": "Directive `alipayai_moderate`",
		"RememberBlocked": "Directive `alipayai_proxy`", "Canary": "Directive `alipayai_proxy`", "CanaryStep": "Directive `alipayai_proxy`", "Shadow": "Directive `alipayai_proxy`", "LoadBalancing": "Directive `alipayai_proxy`",
		"UserToken": "Option `user_token`", "OAuth": "Directive `alipayai_oauth`",
		"Address": "Option `provider`", "Pool": "Option `provider`",
		"Intents": "Option `intents`", "IntentEmbeddings": "Option `intents`", "MatchCall": "Matcher `alipayai`",
		"SandboxHandler": "Directive `alipayai_sandbox`", "SandboxApp": "Directive `alipayai_sandbox`",
	}
	sectionsOf = map[string][]string{
		"app_caddyfile.go":       {"Global option `alipayai`", "Option `evidence`"},
		"ledger.go":              {"Option `ledger`", "Global option `alipayai`"},
		"prices.go":              {"Option `price`", "Option `provider`"},
		"store_redis_options.go": {"Option `store`", "Global option `alipayai`"},
		"provider_caddyfile.go":  {"Option `provider`"},
		"pool.go":                {"Option `provider`"},
		"signature.go":           {"Option `signature`"},
		"answer.go":              {"Option `answer`"},
		"request.go":             {"Option `request`"},
		"intents.go":             {"Option `intents`"},
		"intents_embedded.go":    {"Option `intents`"},
		"moderate_caddyfile.go":  {"Option `moderator`", "Directive `alipayai_moderate`"},
		"suites.go":              {"Option `suite`"},
		"matcher_caddyfile.go":   {"Matcher `alipayai`"},
		"proxy_caddyfile.go":     {"Directive `alipayai_proxy`"},
		"pack.go":                {"Directive `alipayai_proxy`"},
		"user_token.go":          {"Option `user_token`"},
		"oauth.go":               {"Directive `alipayai_oauth`"},
		"calendar.go":            {"Calendar of the keys"},
		"canary.go":              {"Directive `alipayai_proxy`"},
		"shadow.go":              {"Directive `alipayai_proxy`"},
		"handlers_caddyfile.go":  {"Directive `alipayai_auth`", "Directive `alipayai_sandbox`", "`transport alipayai` of `reverse_proxy`"},
	}
)

// TestOptionsAreDescribed holds that README.md names every option: in JSON in the
// section of its module or in that on JSON, in the Caddyfile in the syntax and in
// the text below it.
func TestOptionsAreDescribed(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string)
	for _, part := range regexp.MustCompile(`(?m)^#{2,3} `).Split(string(text), -1) {
		title, body, _ := strings.Cut(part, "\n")
		sections[title] = body
	}
	files, positions := parsed(t)
	eachField(t, files, func(owner, option string, field *ast.Field) {
		title, ok := sectionOf[owner]
		if !ok {
			t.Errorf("%s: no section of README.md describes the options of %s", positions.Position(field.Pos()), owner)
			return
		}
		if !says(sections[title], option) && !says(sections["JSON"], option) {
			t.Errorf("%s: README.md does not name %s, an option of %s in JSON, under %q", positions.Position(field.Pos()), option, owner, title)
		}
	})
	options := 0
	for name, file := range files {
		if !readsOptions(t, file) {
			continue
		}
		titles, ok := sectionsOf[name]
		if !ok {
			t.Errorf("%s reads options of Caddyfiles: name the sections of README.md that describe them", name)
		}
		var body, shown string
		for _, title := range titles {
			if sections[title] == "" {
				t.Fatalf("README.md has no section %q", title)
			}
			body += sections[title]
			shown += syntax(sections[title])
		}
		ast.Inspect(file, func(n ast.Node) bool {
			form, ok := formOf(t, n)
			if !ok {
				return true
			}
			options++
			option, _, _ := strings.Cut(form, " ")
			if !shows(shown, form) {
				t.Errorf("%s: README.md shows %s in no syntax of %q", positions.Position(n.Pos()), form, titles)
			}
			if !says(body, option) {
				t.Errorf("%s: README.md does not describe %s under %q", positions.Position(n.Pos()), option, titles)
			}
			return true
		})
	}
	if options < 60 {
		t.Errorf("only %d options of Caddyfiles were found", options)
	}
}

// TestSyntaxIsShown holds that the documentation of a module's Caddyfile shows each option that its own block has, with the words
// that it takes, and none that there is not. Of blocks inside, the forms beside what reads them are the syntax.
func TestSyntaxIsShown(t *testing.T) {
	files, positions := parsed(t)
	known := make(map[string]bool)
	forms := func(of ast.Node, do func(form string, at token.Pos)) {
		ast.Inspect(of, func(n ast.Node) bool {
			if form, ok := formOf(t, n); ok {
				do(form, n.Pos())
			}
			return true
		})
	}
	for _, file := range files {
		forms(file, func(form string, _ token.Pos) {
			option, _, _ := strings.Cut(form, " ")
			known[option] = true
		})
	}
	modules := 0
	for name, file := range files {
		for _, declared := range file.Decls {
			f, ok := declared.(*ast.FuncDecl)
			if !ok || f.Name.Name != "UnmarshalCaddyfile" {
				continue
			}
			modules++
			shown := f.Doc.Text()
			if !strings.Contains(shown, "Syntax:") {
				t.Errorf("%s: the documentation shows no syntax", positions.Position(f.Pos()))
			}
			forms(f.Body, func(form string, at token.Pos) {
				if !shows(shown, form) {
					t.Errorf("%s: the documentation does not show %s", positions.Position(at), form)
				}
			})
			for _, line := range regexp.MustCompile(`(?m)^\t\t\w+`).FindAllString(shown, -1) {
				if word := strings.TrimLeft(line, "\t"); !known[word] {
					t.Errorf("%s: the documentation shows %s, which is no option", name, word)
				}
			}
		}
	}
	if modules < 8 {
		t.Errorf("only %d modules are documented", modules)
	}
}

// choices are the words of a form of which one is to be written, as basic|form|json.
var choices = regexp.MustCompile(`\b[a-z0-9_]+(?:\|[a-zA-Z0-9_]+)+`)

// shows reports whether a syntax has a line for an option of that form, with the words that it takes.
func shows(syntax, form string) bool {
	option, _, _ := strings.Cut(form, " ")
	lines := regexp.MustCompile(`(?m)^\t+`+option+`\b.*`).FindAllString(syntax, -1)
	for _, words := range choices.FindAllString(form, -1) {
		lines = slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, words) })
	}
	return len(lines) > 0
}

// readsOptions reports whether a file reads blocks of Caddyfiles.
func readsOptions(t *testing.T, file *ast.File) (found bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		_, ok := formOf(t, n)
		found = found || ok
		return !found
	})
	return found
}

// formOf gives the form of an option of the source, whose type need not be written in a list.
func formOf(t *testing.T, n ast.Node) (string, bool) {
	literal, ok := n.(*ast.CompositeLit)
	if !ok {
		return "", false
	}
	for _, element := range literal.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if key, ok := pair.Key.(*ast.Ident); !ok || key.Name != "form" {
			continue
		}
		form, err := strconv.Unquote(pair.Value.(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		return form, true
	}
	if name, ok := literal.Type.(*ast.Ident); ok && name.Name == "option" {
		t.Fatal("an option has no form")
	}
	return "", false
}

// says reports whether a text has an option as code, alone or with its arguments.
func says(text, option string) bool {
	word := regexp.MustCompile(`\b` + regexp.QuoteMeta(option) + `\b`)
	return slices.ContainsFunc(regexp.MustCompile("`[^`\n]+`").FindAllString(text, -1), word.MatchString)
}

// syntax is the first fenced block of a section.
func syntax(section string) string {
	_, rest, _ := strings.Cut(section, "\n```\n")
	block, _, _ := strings.Cut(rest, "\n```\n")
	return "\n" + block
}
