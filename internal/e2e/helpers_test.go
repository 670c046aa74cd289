package e2e

import (
	"cmp"
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
	_ "github.com/caddy-alipayai/gateway/caddy"
	"github.com/caddy-alipayai/gateway/internal/heldport"
)

// The simulator's models and paths.
const (
	modelChat  = "alipay-fin-1"
	modelEmbed = "alipay-embed-1"

	pathChat       = "/v1/chat/completions"
	pathEmbeddings = "/v1/embeddings"
	pathModels     = "/v1/models"
)

// TestMain keeps what Caddy stores out of the home directory of the user who runs the tests.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gateway-e2e-")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_DATA_HOME", dir)
	caddy.DefaultStorage.Path = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// gateway is a running Caddy with the plugin in it, and the APIs behind it. Caddy
// runs once in a process, so tests that start one do not run in parallel.
type gateway struct {
	addr, tlsAddr string // of its sites, on loopback
	key           string // of the only tenant
	api           *simulator
	claude        *simulator // Anthropic's API
	config        *strings.Replacer
}

// options go into the Caddyfile as they are.
type options struct {
	provider, proxy string // of provider alipay, and of the directive
	claude          string // of provider claude
	providers       string // that serve, in order; alipay unless set
	breaker         string // off unless set: tests make many calls fail in a row
	claudeURL       string // what provider claude asks instead of the simulator
	// between puts something before a simulator's address, and gives its own.
	between func(addr string) string
}

// newConnections makes a provider keep none: a call whose connection broke may
// be repeated where that had idled.
const newConnections = `transport http {
	keepalive off
}
`

const caddyfile = `{
	admin off
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	servers {
		protocols h1 h2
	}
	log {
		level ERROR
		exclude alipayai.evidence
	}
	alipayai {
		provider alipay {
			profile sandbox
			base_url UPSTREAM
			limit off
			PROVIDER
		}
		provider claude {
			profile sandbox_anthropic
			base_url ANTHROPIC
			limit off
			CLAUDE
		}
	}
}
(gateway) {
	bind 127.0.0.1
	header X-Generation GENERATION
	alipayai_auth {
		key acme HASH
	}
	alipayai_proxy /v1/* LIST {
		remember_blocked off # the tests ask the same again
		breaker BREAKER
		PROXY
	}
}
http://PLAIN {
	import gateway
}
https://TLS {
	tls internal
	import gateway
}
`

// startGateway runs a gateway of generation 1, without the cap on requests per
// second, in front of an API that blocks what is not compliant. When the test
// ends, nothing of the plugin may be left running.
func startGateway(t *testing.T, o options) *gateway {
	t.Helper()
	key, hash := tenants.NewKey()
	g := &gateway{addr: heldport.Addr(t), tlsAddr: heldport.Addr(t), key: key}
	api, apiAddr := startSimulator(t, sandbox.Config{Mode: sandbox.Production, RequestsPerSecond: -1})
	claude, claudeAddr := startSimulator(t, sandbox.Config{Format: sandbox.Anthropic, RequestsPerSecond: -1})
	g.api, g.claude = api, claude
	if o.between != nil {
		apiAddr, claudeAddr = o.between(apiAddr), o.between(claudeAddr)
	}
	g.config = strings.NewReplacer("UPSTREAM", "http://"+apiAddr, "PROVIDER", o.provider, "PROXY", o.proxy,
		"ANTHROPIC", cmp.Or(o.claudeURL, "http://"+claudeAddr)+"/v1", "CLAUDE", o.claude,
		"LIST", cmp.Or(o.providers, "alipay"), "BREAKER", cmp.Or(o.breaker, "off"),
		"HASH", hash.String(), "PLAIN", g.addr, "TLS", g.tlsAddr)
	stopCaddy(t, api.close, claude.close)
	g.load(t, 1)
	eventually(t, "the internal certificate", g.certified)
	return g
}

// stopCaddy stops it when the test ends, and then the APIs behind it.
func stopCaddy(t *testing.T, apis ...func()) {
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
		for _, stop := range apis {
			stop()
		}
		eventually(t, "everything of the plugin to end", noGoroutines)
	})
}

// load runs the gateway; called again, it is a reload.
func (g *gateway) load(t *testing.T, generation int) {
	t.Helper()
	loadCaddyfile(t, strings.ReplaceAll(g.config.Replace(caddyfile), "GENERATION", strconv.Itoa(generation)))
}

// loadCaddyfile runs a configuration.
func loadCaddyfile(t *testing.T, config string) {
	t.Helper()
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), nil)
	if err != nil {
		t.Fatalf("adapting the Caddyfile: %v", err)
	}
	for _, w := range warnings {
		// The formatting of what tests fill in is no matter.
		if !strings.Contains(w.Message, "not formatted") {
			t.Errorf("Caddyfile: %s", w)
		}
	}
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatalf("loading the configuration: %v", err)
	}
}

// take gives the bodies that have reached the Alipay AI API under path since the
// last take, and forgets all others too.
func (g *gateway) take(path string) []string { return g.api.take(path) }

// setFaults sets the faults of the calls to come to the Alipay AI API, until the
// test ends.
func (g *gateway) setFaults(t *testing.T, faults ...sandbox.Fault) {
	t.Helper()
	g.api.setFaults(t, faults...)
}

// ask makes a chat of one prompt.
func ask(prompt string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    modelChat,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(prompt)},
	}
}

// complete gets a chat's whole answer, in one piece or streamed.
func (c *client) complete(ctx context.Context, streamed bool, chat openai.ChatCompletionNewParams, opts ...option.RequestOption) (openai.ChatCompletion, error) {
	if streamed {
		return collect(c.Chat.Completions.NewStreaming(ctx, chat, opts...))
	}
	answer, err := c.Chat.Completions.New(ctx, chat, opts...)
	if err != nil {
		return openai.ChatCompletion{}, err
	}
	return *answer, nil
}

// collect reads a stream to its end, and gives what came of it also when that
// is an error.
func collect(stream *ssestream.Stream[openai.ChatCompletionChunk]) (openai.ChatCompletion, error) {
	defer stream.Close()
	var whole openai.ChatCompletionAccumulator
	for stream.Next() {
		if !whole.AddChunk(stream.Current()) {
			return whole.ChatCompletion, errors.New("a chunk belongs to another answer")
		}
	}
	return whole.ChatCompletion, stream.Err()
}

// readContents reads n events with content.
func readContents(t *testing.T, stream *ssestream.Stream[openai.ChatCompletionChunk], n int) {
	t.Helper()
	for n > 0 {
		if !stream.Next() {
			t.Fatalf("the stream ended with %d events to come: %v", n, stream.Err())
		}
		if choices := stream.Current().Choices; len(choices) == 1 && choices[0].Delta.Content != "" {
			n--
		}
	}
}

// text is what an answer says, empty unless it is whole.
func text(answer openai.ChatCompletion) string {
	if len(answer.Choices) != 1 || answer.Choices[0].FinishReason != "stop" {
		return ""
	}
	return answer.Choices[0].Message.Content
}

// forms are the two ways of asking for a chat.
var forms = map[string]bool{"json": false, "stream": true}

// eventually waits for what is needed before a test can go on.
func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited too long for %s: %v", what, err)
		}
	}
}

// noGoroutines says which goroutine of the plugin still runs.
func noGoroutines() error {
	buf := make([]byte, 4<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "caddy-alipayai/gateway/alipayai") || strings.Contains(stack, "caddy-alipayai/gateway/caddy") {
			return errors.New(stack)
		}
	}
	return nil
}
