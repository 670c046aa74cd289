package command

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// The commands that sign and verify read the operator's files in a process of their
// own. There is no HTTP route to them: it would sign for whoever reaches it.

// signCommands are `caddy alipayai sign` and `caddy alipayai verify`.
func (c commands) signCommands() []*cobra.Command {
	sign := &cobra.Command{
		Use:   "sign <provider>",
		Short: "Prints what is signed of a request, its header fields, and a curl line; sends nothing",
		Args:  nameOneProvider,
		RunE:  c.signRequest,
	}
	sign.Flags().String("method", http.MethodPost, "the request's method")
	sign.Flags().String("uri", "", "its path and query, as they are sent (default: the provider's path of chats)")
	sign.Flags().String("body-file", "", "a file that holds its body, byte for byte")
	sign.Flags().String("time", "", "the time to sign, like 2026-01-31T12:00:00Z or in Unix milliseconds (default: now)")

	verify := &cobra.Command{
		Use:   "verify <provider> --request <file> [--answer <file>]",
		Short: "Says whether a captured request, or the answer to it, verifies, and which part differs",
		Args:  nameOneProvider,
		RunE:  c.verifyCaptured,
	}
	verify.Flags().String("request", "", "a file that holds the request as HTTP/1.1 writes it (required)")
	verify.Flags().String("answer", "", "a file that holds the answer, to verify that instead")
	_ = verify.MarkFlagRequired("request") // the flag is there
	for _, cmd := range []*cobra.Command{sign, verify} {
		configFlags(cmd)
		cmd.Flags().Bool("production", false, "takes a provider of environment production")
	}
	return []*cobra.Command{sign, verify}
}

// nameOneProvider takes the name of one provider.
func nameOneProvider(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name one provider of the configuration, as in %s; got %d", cmd.CommandPath()+" <provider>", len(args))
	}
	return nil
}

// signing gives a provider of the configuration that a command may sign for.
func (c *configured) signing(cmd *cobra.Command, name string) (*upstream.Provider, error) {
	p, err := c.Provider(name)
	if err != nil {
		return nil, err
	}
	if production, _ := cmd.Flags().GetBool("production"); p.Environment == upstream.Production && !production {
		return nil, fmt.Errorf("provider %s is of environment production: what is signed for it is good there; add --production if that is meant", name)
	}
	return p, nil
}

func (c commands) signRequest(cmd *cobra.Command, args []string) error {
	config, err := c.loadConfigured(cmd)
	if err != nil {
		return err
	}
	defer config.Close()
	p, err := config.signing(cmd, args[0])
	if err != nil {
		return err
	}
	method, _ := cmd.Flags().GetString("method")
	uri, _ := cmd.Flags().GetString("uri")
	file, _ := cmd.Flags().GetString("body-file")
	text, _ := cmd.Flags().GetString("time")
	at, err := parseTime(text, time.Now())
	if err != nil {
		return err
	}
	if !cmd.Flags().Changed("uri") {
		uri = p.RequestTarget(upstream.EndpointChat)
	}
	if err := checkSent(method, uri); err != nil {
		return err
	}
	var body []byte
	if file != "" {
		if body, err = readBounded("--body-file", file); err != nil {
			return err
		}
	}
	d, err := p.Draft(method, uri, body, at)
	if err != nil {
		return fmt.Errorf("provider %s: %w", p.Name, err)
	}
	_, err = io.WriteString(cmd.OutOrStdout(), c.Conceal(draftText(p, method, file, d)))
	return err
}

// checkSent refuses what could not be sent as it is signed: a client would cut a fragment off, and would not send bytes that
// a target may not have (RFC 9112, section 3.2).
func checkSent(method, uri string) error {
	if method == "" || strings.IndexFunc(method, func(r rune) bool { return r > '~' || !httpguts.IsTokenRune(r) }) >= 0 {
		return fmt.Errorf("--method %q is no method; write it like POST", method)
	}
	odd := strings.IndexFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("#\"<>\\^`{|}", r) })
	if _, err := url.ParseRequestURI(uri); err != nil || odd >= 0 || !strings.HasPrefix(uri, "/") || strings.HasPrefix(uri, "//") {
		return fmt.Errorf("--uri %q is no target; write a path and query like /v1/chat/completions?a=b, with what else is in them percent-encoded", uri)
	}
	return nil
}

// maxTime is the last millisecond of the year 9999, which is as far as RFC 3339 goes.
const maxTime = 253402300799999

// parseTime reads --time.
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	var ms int64
	if err := json.Unmarshal([]byte(text), &ms); err != nil || ms <= 0 || ms > maxTime {
		return now, fmt.Errorf("--time %q is no time; write it like 2026-01-31T12:00:00Z, or in Unix milliseconds", text)
	}
	return time.UnixMilli(ms), nil
}

// draftText is what sign prints.
func draftText(p *upstream.Provider, method, bodyFile string, d upstream.Draft) string {
	var b strings.Builder
	if p.Profile.Signs() {
		fmt.Fprintf(&b, "# What is signed, %d bytes:\n%s\n\n", len(d.Canonical), d.Canonical)
	} else {
		b.WriteString("# Nothing is signed: the request carries a key.\n\n")
	}
	b.WriteString("# The header fields:\n")
	names := slices.Sorted(maps.Keys(d.Header))
	shown := make(http.Header, len(names))
	for _, name := range names {
		value := d.Header.Get(name)
		if !p.Profile.Signs() && p.Scheme != nil && (name == "Authorization" || name == http.CanonicalHeaderKey(p.Profile.KeyHeader)) {
			value = "<api key>"
		}
		shown.Set(name, value)
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
	b.WriteString("\n# The request:\ncurl")
	if method != http.MethodGet || len(d.Body) > 0 {
		b.WriteString(" -X " + shellQuote(method))
	}
	for _, name := range names {
		b.WriteString(" \\\n  -H " + shellQuote(name+": "+shown.Get(name)))
	}
	switch {
	case d.Wrapped:
		b.WriteString(" \\\n  --data-raw " + shellQuote(string(d.Body)))
	case len(d.Body) > 0:
		b.WriteString(" \\\n  --data-binary " + shellQuote("@"+bodyFile))
	}
	if strings.Contains(d.Target+"/", "/./") || strings.Contains(d.Target+"/", "/../") {
		b.WriteString(" \\\n  --path-as-is") // curl would resolve them, and send what is not signed
	}
	if strings.ContainsAny(d.Target, "[]{}") {
		b.WriteString(" \\\n  --globoff") // which curl would take for patterns
	}
	u := *p.BaseURL
	b.WriteString(" \\\n  " + shellQuote(u.Scheme+"://"+u.Host+d.Target) + "\n")
	return b.String()
}

// shellQuote makes one word of text, for a POSIX shell.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
