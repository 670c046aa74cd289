package alipaycaddy

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/asked"
	"github.com/caddy-alipayai/gateway/alipayai/intent"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// IntentEmbeddings has intents recognised by embeddings, which say more of what a text means than its characters and words
// do. The examples are embedded in the background after the configuration has been loaded, each once for a provider and
// model: their vectors are kept in Caddy's data folder, under `alipayai/embeddings`. Delete the file there if a provider
// has another model under the same name. Of each call whose intent is asked for, the last user message is sent to the provider.
// Until the examples are embedded, and when the provider gives no vector in time, the classifier over characters and words
// decides.
type IntentEmbeddings struct {
	// The provider, which the `alipayai` app declares. Its rate cap, breaker and retry budget hold, and so do the tenant's
	// budgets; the examples are the operator's. Required.
	Provider string `json:"provider,omitempty"`

	// The model by the provider's name. Default: the provider's own `model`.
	Model string `json:"model,omitempty"`

	// How long a call waits for its vector, the provider's rate cap included. Default: `300ms`
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How long it is remembered what a text of a tenant's is about, in the memory of this process and under a keyed hash.
	// Nothing is remembered of calls without an authenticated user. Default: `1h`
	CacheTTL caddy.Duration `json:"cache_ttl,omitempty"`

	// How many texts that is remembered of, at about 150 bytes each. Default: `10000`
	CacheEntries int `json:"cache_entries,omitempty"`

	// Asks the provider each time. Default: false
	CacheOff bool `json:"cache_off,omitempty"`
}

// Defaults of the embeddings, and how long the examples may take: each request, and after one that failed.
const (
	defaultEmbedTimeout = 300 * time.Millisecond
	defaultIntentTTL    = time.Hour
	defaultIntentKept   = 10_000
	learnTimeout        = 30 * time.Second
	learnAgain          = 30 * time.Second
)

// embedded recognises intents by embeddings.
type embedded struct {
	centroids *intent.Centroids
	provider  *upstream.Provider
	examples  []intent.Example
	model     string
	// call asks with the deadline of a call, and learn with that of a batch of examples.
	call, learn asked.Models
	timeout     time.Duration
	kept        intent.Kept
	// remembered is the file of the examples' vectors.
	remembered string
	logger     *zap.Logger
	site       string
}

// openEmbeddings makes of the examples what recognises intents by embeddings.
func (a *accounts) openEmbeddings(o *IntentEmbeddings, examples []intent.Example) (*embedded, error) {
	if o.Timeout < 0 || o.CacheTTL < 0 || o.CacheEntries < 0 {
		return nil, errors.New("timeout and cache must not be negative")
	}
	p, err := a.provider(o.Provider)
	if err != nil {
		return nil, err
	}
	model := cmp.Or(o.Model, p.Model)
	switch {
	case model == "":
		return nil, fmt.Errorf("provider %s has no model of its own: write embeddings %s <model>", p.Name, p.Name)
	case !p.Has(upstream.EndpointEmbeddings):
		return nil, fmt.Errorf("provider %s has no path for embeddings", p.Name)
	case !p.Serves(upstream.EndpointEmbeddings, model):
		return nil, fmt.Errorf("provider %s does not serve model %s", p.Name, model)
	}
	e := &embedded{
		provider: p,
		examples: examples, model: model, timeout: cmp.Or(time.Duration(o.Timeout), defaultEmbedTimeout),
		kept:   intent.Kept{TTL: cmp.Or(time.Duration(o.CacheTTL), defaultIntentTTL), Entries: cmp.Or(o.CacheEntries, defaultIntentKept)},
		logger: a.logger, site: "intents",
	}
	if o.CacheOff {
		e.kept.Entries = 0
	}
	if e.call, err = a.models(p, e.site, e.timeout, a.asks(p, e.site)); err != nil {
		return nil, err
	}
	if e.learn, err = a.models(p, e.site, learnTimeout, a.spending(&a.acquired)); err != nil {
		return nil, err
	}
	of := hashAll([]string{p.Name, p.BaseURL.String(), model})
	e.remembered = filepath.Join(caddy.AppDataDir(), "alipayai", "embeddings", hex.EncodeToString(of[:16]))
	content := append(contentOf(e.examples), p.Name, p.BaseURL.String(), model)
	e.centroids = acquireFor[intent.Centroids](&a.acquired, "centroids", content...)
	a.jobs.add("examples of intents", e.learnExamples)
	return e, nil
}

// embed is an intent.Embed.
func (e *embedded) embed(models asked.Models) intent.Embed {
	return func(ctx context.Context, tenant string, texts []string) ([][]float32, error) {
		answer, err := models.Embed(ctx, cmp.Or(tenant, alipayai.ExamplesTenant), intent.EmbeddingsRequest(e.model, texts))
		if err != nil {
			return nil, err
		}
		return intent.ReadVectors(answer, len(texts))
	}
}

// learnExamples embeds the examples, again and again until it has: those that it has not embedded before.
func (e *embedded) learnExamples(ctx context.Context) {
	if e.centroids.Ready() {
		return
	}
	remembered := intent.Remember(e.remembered)
	for {
		err := e.centroids.Learn(ctx, remembered.Embed(e.embed(e.learn)), e.examples)
		if errors.Is(err, intent.ErrDimensions) {
			remembered.Forget() // the provider's model is another one now
		}
		if err := remembered.Save(); err != nil {
			e.logger.Warn("the vectors of the examples of intents were not saved, so the next start asks for them again", zap.Error(err))
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		e.logger.Warn("the examples of intents were not embedded; meanwhile, characters and words decide",
			zap.Error(err), zap.Duration("again_in", learnAgain))
		select {
		case <-time.After(learnAgain):
		case <-ctx.Done():
			return
		}
	}
}

// guess gives what a text of a tenant's is about, and whether it could be found out.
func (e *embedded) guess(ctx context.Context, tenant string, regions residency.Regions, text string) (intent.Guess, bool) {
	// The call has nothing of the client's but that it ends with it.
	own, cancel := context.WithTimeout(asked.WithRegions(context.Background(), regions), e.timeout)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	kept := e.kept
	if tenant == alipayai.AnonymousTenant {
		kept.Entries = 0
	}
	g, err := e.centroids.Classify(own, e.embed(e.call), tenant, text, kept, time.Now())
	if err != nil {
		e.logger.Debug("an intent was not found by embeddings", zap.Error(err))
	}
	return g, err == nil
}

// unmarshalEmbeddings reads `embeddings <provider> [<model>]` and its block.
func (o *Intents) unmarshalEmbeddings(d *caddyfile.Dispenser) error {
	e := new(IntentEmbeddings)
	o.Embeddings = e
	switch given := d.RemainingArgs(); len(given) {
	case 2:
		e.Provider, e.Model = given[0], given[1]
	case 1:
		e.Provider = given[0]
	default:
		return errArguments
	}
	return block(d, "embeddings",
		option{form: "timeout <duration>", read: duration(&e.Timeout)},
		option{form: "cache <ttl> [<entries>], or cache off", read: cacheOption(&e.CacheTTL, &e.CacheEntries, &e.CacheOff)},
	)
}
