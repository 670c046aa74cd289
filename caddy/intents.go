package alipaycaddy

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/alipayai/intent"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
)

// Intents says how it is recognised what a call is about.
type Intents struct {
	// The folder of examples: a file `<intent>.txt` for each intent, with an example a line. Default: the built-in
	// examples of `financial`, `trivial` and `other`, in Chinese and English.
	Folder string `json:"folder,omitempty"`

	// The least probability, from 0 to 1, with which a call has an intent; below it, it has none. Default: `0.4`
	Confidence float64 `json:"confidence,omitempty"`

	// The provider that embeds the texts, so that what they mean decides. Default: characters and words decide.
	Embeddings *IntentEmbeddings `json:"embeddings,omitempty"`
}

// intents recognises the intents of a configuration's calls.
type intents struct {
	classifier func() *intent.Classifier
	confidence float32
	// examples are those of the classifier, and embedded is asked before it; nil for none.
	examples []intent.Example
	embedded *embedded
	// regions are those in which a tenant's text may be, whichever handler its call goes to.
	regions func(tenant string) residency.Regions
}

// trained is the classifier of a set of examples, pooled by their content: a reload trains again only where that has
// changed.
type trained struct {
	once       sync.Once
	classifier *intent.Classifier
	err        error
}

// openIntents reads the examples and learns from them. o is nil for the built-in ones, and regions are those in which a tenant's
// text may be.
func openIntents(by *acquired, o *Intents, regions func(tenant string) residency.Regions) (*intents, error) {
	i := &intents{classifier: intent.Default, confidence: intent.DefaultConfidence, regions: regions}
	if o == nil {
		return i, nil
	}
	if o.Confidence < 0 || o.Confidence >= 1 {
		return nil, fmt.Errorf("intents: confidence %v must be from 0 to 1", o.Confidence)
	}
	if o.Confidence > 0 {
		i.confidence = float32(o.Confidence)
	}
	if o.Folder == "" {
		i.examples = intent.BuiltIn()
		return i, nil
	}
	var err error
	if i.examples, err = intent.Read(os.DirFS(o.Folder)); err != nil {
		return nil, fmt.Errorf("intents %s: %w", o.Folder, err)
	}
	t := acquireFor[trained](by, "intents", contentOf(i.examples)...)
	t.once.Do(func() { t.classifier, t.err = intent.Train(i.examples) })
	if t.err != nil {
		return nil, fmt.Errorf("intents %s: %w", o.Folder, t.err)
	}
	i.classifier = func() *intent.Classifier { return t.classifier }
	return i, nil
}

// contentOf tells sets of examples apart.
func contentOf(examples []intent.Example) []string {
	content := make([]string, 0, 2*len(examples))
	for _, e := range examples {
		content = append(content, e.Intent, e.Text)
	}
	return content
}

// check refuses the name of an intent that has no examples.
func (i *intents) check(name string) error {
	if known := i.classifier().Intents(); !slices.Contains(known, name) {
		return fmt.Errorf("intent %q has no examples; there are examples of %s", name, strings.Join(known, ", "))
	}
	return nil
}

// guess gives what a text of a tenant's is about; no intent where that is not certain enough. It waits for no longer than
// embeddings may take, and not longer than ctx.
func (i *intents) guess(ctx context.Context, tenant, text string) intent.Guess {
	var g intent.Guess
	found := false
	if i.embedded != nil {
		if regions := i.regions(tenant); i.embedded.provider.Within(regions) {
			g, found = i.embedded.guess(ctx, tenant, regions, text)
		}
	}
	if !found {
		g = i.classifier().Classify(text)
	}
	if g.Confidence < i.confidence {
		g.Intent = ""
	}
	return g
}

// unmarshalIntents reads `intents [<folder>]` and its block.
func (a *App) unmarshalIntents(d *caddyfile.Dispenser) error {
	o := new(Intents)
	a.Intents = o
	switch given := d.RemainingArgs(); {
	case len(given) == 1 && given[0] != "":
		o.Folder = given[0]
	case len(given) > 0:
		return errArguments
	}
	return block(d, "intents",
		option{form: "confidence <number>, as confidence 0.6", read: single(&o.Confidence, parseShare)},
		option{form: "embeddings <provider> [<model>]", read: o.unmarshalEmbeddings},
	)
}
