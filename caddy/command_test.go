package alipaycaddy

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// runCommand runs `caddy alipayai` with these arguments.
func runCommand(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = runCommandTo(t, &out, &out, args...)
	return out.String(), err
}

// runCommandApart is runCommand with what goes to standard error by itself.
func runCommandApart(t *testing.T, args ...string) (output, notes string, err error) {
	t.Helper()
	var out, rest bytes.Buffer
	err = runCommandTo(t, &out, &rest, args...)
	return out.String(), rest.String(), err
}

func runCommandTo(t *testing.T, out, rest io.Writer, args ...string) error {
	t.Helper()
	registered, ok := caddycmd.Commands()["alipayai"]
	if !ok {
		t.Fatal("the command alipayai is not registered")
	}
	cmd := &cobra.Command{Use: registered.Name, SilenceErrors: true, SilenceUsage: true}
	registered.CobraFunc(cmd)
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(rest)
	return cmd.Execute()
}

var newKeyPattern = regexp.MustCompile(`(?s)^# .*\n(sk-alipayai-[A-Z0-9]+)\n.*\n(key (\S+) sha256:[0-9a-f]{64})\n\n# .*\n\S+ sha256:[0-9a-f]{64}\n$`)

// TestKeyNew puts what the command prints where it says, and uses it.
func TestKeyNew(t *testing.T) {
	output, err := runCommand(t, "key", "new", "acme")
	if err != nil {
		t.Fatal(err)
	}
	found := newKeyPattern.FindStringSubmatch(output)
	if found == nil || found[3] != "acme" {
		t.Fatalf("printed %q", output)
	}
	if again, _ := runCommand(t, "key", "new", "acme"); again == output {
		t.Error("printed the same key twice")
	}
	g := newRig(t, sandbox.Config{})
	g.vars["line"] = found[2]
	g.load(oneProvider, `
http://${gateway} {
	log
	alipayai_auth {
		${line}
	}
	alipayai_proxy alipay
}`)
	if got := g.outcome(g.chat("hello", "Authorization: Bearer "+found[1]))["tenant"]; got != "acme" {
		t.Errorf("the key belongs to tenant %v", got)
	}
}

func TestKeyNewRefuses(t *testing.T) {
	tests := map[string][]string{
		"no tenant":         {"key", "new"},
		"two tenants":       {"key", "new", "acme", "zeta"},
		"empty tenant":      {"key", "new", ""},
		"anonymous":         {"key", "new", "anonymous"},
		"white space":       {"key", "new", "acme corp"},
		"control character": {"key", "new", "acme\x1b[2J"},
		"much too long":     {"key", "new", strings.Repeat("a", 129)},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			output, err := runCommand(t, args...)
			if err == nil || strings.Contains(output, "sk-alipayai-") {
				t.Errorf("error %v, printed %q", err, output)
			}
			if err != nil && len(args) != 3 && !strings.Contains(err.Error(), "key new <tenant>") {
				t.Errorf("error %q does not say what to write", err)
			}
		})
	}
}

// A command that does not exist is an error, which ends the process with status 1;
// without one the commands are shown.
func TestUnknownCommands(t *testing.T) {
	for _, args := range [][]string{{"keys"}, {"key", "list"}, {"evidence", "show"}} {
		if _, err := runCommand(t, args...); err == nil || !strings.Contains(err.Error(), "unknown command") {
			t.Errorf("%q: error %v", args, err)
		}
	}
	for _, args := range [][]string{{}, {"key"}, {"evidence"}} {
		if output, err := runCommand(t, args...); err != nil || !strings.Contains(output, "Available Commands") {
			t.Errorf("%q: error %v, printed %q", args, err, output)
		}
	}
}
