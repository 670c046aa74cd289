package alipaycaddy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Price is what a model costs at a provider. Prices are decimals, as text, and exact:
// `"24"`, `"0.075"`.
type Price struct {
	// The currency's code, such as `CNY`. Required.
	Currency string `json:"currency,omitempty"`

	// The price of a million tokens of the prompt. Default: `0`
	Input string `json:"input,omitempty"`

	// The price of a million tokens of the answer. Default: `0`
	Output string `json:"output,omitempty"`

	// The price of a million tokens of the prompt that the provider had cached.
	// Default: that of `input`
	CachedInput string `json:"cached_input,omitempty"`

	// The price of a million tokens of the prompt that the provider writes to its cache. Default: that of `input`
	CacheWrite string `json:"cache_write,omitempty"`

	// The price of a million tokens of the prompt that it writes to stay there for an hour. Default: that of `cache_write`
	CacheWriteHour string `json:"cache_write_1h,omitempty"`

	// The price of each request, besides. Default: `0`
	Request string `json:"request,omitempty"`

	// The price of each search of the provider's own tools. Default: `0`
	Search string `json:"search,omitempty"`

	// What a shorter prompt is charged as, in characters; four are a token. Default: none.
	MinimumCharacters int `json:"minimum_characters,omitempty"`

	// What a shorter prompt is charged as, in tokens. Default: none.
	MinimumTokens int `json:"minimum_tokens,omitempty"`

	// The longest answer that the model gives, in tokens: what a budget reserves for a
	// call that names no maximum. Default: `131072`
	MaxTokens int `json:"max_tokens,omitempty"`

	// The most tokens that the model thinks beyond that, and beyond what a call names as its maximum: what a budget
	// reserves besides, for vendors whose `max_tokens` does not bound thinking. Default: `0`
	ThinkingTokens int `json:"thinking_tokens,omitempty"`

	// The most tokens that an image takes: what a budget reserves for it. Default: `16384`
	ImageTokens int `json:"image_tokens,omitempty"`
}

// Rate says what one unit of a currency is worth in another.
type Rate struct {
	// The currency that is converted. Required.
	From string `json:"from,omitempty"`

	// The currency that it is converted to. Required.
	To string `json:"to,omitempty"`

	// What one unit of the first is worth in the second, as a decimal. Required.
	Rate string `json:"rate,omitempty"`
}

// price makes the domain's price.
func (c *Price) price() (*price.Price, error) {
	if c.Currency == "" {
		return nil, errors.New("currency is missing; write it like currency CNY")
	}
	currency, err := price.ParseCurrency(c.Currency)
	if err != nil {
		return nil, err
	}
	p := &price.Price{
		Currency: currency, MinCharacters: int64(c.MinimumCharacters), MinTokens: int64(c.MinimumTokens),
		MaxTokens: int64(c.MaxTokens), ImageTokens: int64(c.ImageTokens), ThinkingTokens: int64(c.ThinkingTokens),
	}
	if p.MinCharacters < 0 || p.MinTokens < 0 || p.MaxTokens < 0 || p.ImageTokens < 0 || p.ThinkingTokens < 0 {
		return nil, errors.New("minimum, max_tokens, thinking_tokens and image_tokens must be positive")
	}
	input, output := &p.Input, &p.Output
	for _, each := range []struct {
		option, text string
		to           **price.PerToken
	}{
		{"input", c.Input, &input}, {"output", c.Output, &output}, {"cached_input", c.CachedInput, &p.Cached},
		{"cache_write", c.CacheWrite, &p.Written}, {"cache_write_1h", c.CacheWriteHour, &p.WrittenHour},
	} {
		if each.text == "" {
			continue
		}
		amount, err := price.ParsePerMillion(each.text)
		if err != nil {
			return nil, fmt.Errorf("%s %q %w", each.option, each.text, err)
		}
		if *each.to == nil {
			*each.to = new(price.PerToken)
		}
		**each.to = amount
	}
	for _, each := range []struct {
		option, text string
		to           *price.Amount
	}{{"request", c.Request, &p.Request}, {"search", c.Search, &p.Search}} {
		if each.text == "" {
			continue
		}
		if *each.to, err = price.ParseAmount(each.text); err != nil {
			return nil, fmt.Errorf("%s %q %w", each.option, each.text, err)
		}
	}
	return p, nil
}

// vendors are LiteLLM's names of the vendors behind profiles.
var vendors = map[string]string{
	"openai": "openai", "anthropic": "anthropic", "deepseek": "deepseek", "mistral": "mistral",
	"qwen": "dashscope", "openrouter": "openrouter", "ollama": "ollama", "google": "gemini",
}

// charges are the currencies in which vendors say what calls have cost: OpenRouter's credits are US dollars, as LiteLLM's costs are
// (openrouter.ai/docs/cookbook/administration/usage-accounting, docs.litellm.ai/docs/proxy/cost_tracking).
var charges = map[string]price.Currency{"openrouter": "USD", "litellm": "USD"}

// openAccounts makes what keeps account of what calls cost: of the providers' prices, which nothing asks for where neither a
// price nor a ledger is configured.
func openAccounts(u *upstreams, o priceOptions) (*accounts, error) {
	a := &accounts{setting: u.setting, sharing: u.sharing, reports: u.reports, upstreams: u, askedBy: make(map[string]string)}
	var file *price.File
	if o.file != "" {
		path, err := a.secrets.public("path", o.file)
		if err == nil {
			file, err = price.LoadFile(path)
		}
		if err != nil {
			return nil, fmt.Errorf("prices file: %w", err)
		}
	}
	var err error
	if a.exchange, err = newExchange(o.rates); err != nil {
		return nil, err
	}
	priced := make(map[string]*alipayai.Priced, len(a.providers))
	any := file != nil
	for _, name := range slices.Sorted(maps.Keys(a.providers)) {
		p := a.providers[name]
		book := price.Book{ByModel: make(map[string]*price.Price), File: file, Vendor: vendors[p.Profile.Name]}
		own := o.providers[name].Prices
		for _, model := range slices.Sorted(maps.Keys(own)) {
			each, err := own[model].price()
			if err != nil {
				return nil, fmt.Errorf("provider %s: price %s: %w", name, model, err)
			}
			any = true
			if model == anyModel {
				book.Any = each
			} else {
				book.ByModel[model] = each
			}
		}
		priced[name] = &alipayai.Priced{
			Book: book, Models: namedModels(p, book), Charges: charges[p.Profile.Name],
			Estimate: acquireFor[price.Estimate](&a.acquired, "estimate", p.BaseURL.Host, p.ClientID, name),
			Others:   acquireFor[price.Models](&a.acquired, "models", p.BaseURL.Host, p.ClientID, name),
		}
	}
	if !any && !o.ledger.wanted() {
		return a, nil
	}
	a.priced = priced
	a.warnings.prices(priced)
	return a, a.openLedger(o.ledger)
}

// anyModel stands for each model that has no price of its own.
const anyModel = "*"

// namedModels are the provider's models that the configuration names, by its own names.
func namedModels(p *upstream.Provider, book price.Book) map[string]bool {
	named := make(map[string]bool)
	for _, asked := range p.Models {
		named[p.UpstreamModel(asked)] = true
	}
	for _, to := range p.ModelMap {
		named[to] = true
	}
	if p.Model != "" {
		named[p.Model] = true
	}
	for model := range book.ByModel {
		named[model] = true
	}
	return named
}

// newExchange makes what currencies are worth in others.
func newExchange(rates []Rate) (*price.Exchange, error) {
	exchange := new(price.Exchange)
	seen := make(map[[2]string]bool)
	for _, r := range rates {
		from, err := price.ParseCurrency(r.From)
		to, err2 := price.ParseCurrency(r.To)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("rate: %w", err)
		}
		rate, err := price.ParseAmount(r.Rate)
		if err != nil {
			return nil, fmt.Errorf("rate %s %s: %q %w", from, to, r.Rate, err)
		}
		if rate == 0 || from == to || seen[[2]string{r.From, r.To}] {
			return nil, fmt.Errorf("rate %s %s: give it once, for two currencies, and more than 0", from, to)
		}
		seen[[2]string{r.From, r.To}] = true
		exchange.Set(from, to, rate)
	}
	return exchange, nil
}

// unmarshalPrice reads `price <model> { ... }` of a provider.
func (p *Provider) unmarshalPrice(d *caddyfile.Dispenser) error {
	var model string
	if err := args(d, &model); err != nil {
		return err
	}
	if _, ok := p.Prices[model]; ok {
		return d.Errf("price of model %s is given twice", model)
	}
	c := new(Price)
	err := block(d, "price",
		option{form: "currency <code>, as currency CNY", read: text(&c.Currency)},
		option{form: "input <price of a million tokens>", read: text(&c.Input)},
		option{form: "output <price of a million tokens>", read: text(&c.Output)},
		option{form: "cached_input <price of a million tokens>", read: text(&c.CachedInput)},
		option{form: "cache_write <price of a million tokens>", read: text(&c.CacheWrite)},
		option{form: "cache_write_1h <price of a million tokens>", read: text(&c.CacheWriteHour)},
		option{form: "request <price of a request>", read: text(&c.Request)},
		option{form: "search <price of a search>", read: text(&c.Search)},
		option{form: "minimum <number> characters|tokens, as minimum 5000 characters", read: c.unmarshalMinimum},
		option{form: "max_tokens <number>", read: number(&c.MaxTokens)},
		option{form: "thinking_tokens <number>", read: number(&c.ThinkingTokens)},
		option{form: "image_tokens <number>", read: number(&c.ImageTokens)},
	)
	if err != nil {
		return err
	}
	if _, err := c.price(); err != nil {
		return d.Errf("price of model %s: %v", model, err)
	}
	if p.Prices == nil {
		p.Prices = make(map[string]*Price)
	}
	p.Prices[model] = c
	return nil
}

// unmarshalMinimum reads `minimum <number> characters|tokens`.
func (c *Price) unmarshalMinimum(d *caddyfile.Dispenser) error {
	var count, unit string
	if err := args(d, &count, &unit); err != nil {
		return err
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || unit != "characters" && unit != "tokens" {
		return errArguments
	}
	if unit == "tokens" {
		c.MinimumTokens = n
	} else {
		c.MinimumCharacters = n
	}
	return nil
}

// unmarshalPrices reads `prices file <path>`.
func (a *App) unmarshalPrices(d *caddyfile.Dispenser) error {
	var kind string
	if err := args(d, &kind, &a.Prices); err != nil || kind != "file" {
		return errArguments
	}
	return nil
}

// unmarshalRate reads `rate <from> <to> <number>`.
func (a *App) unmarshalRate(d *caddyfile.Dispenser) error {
	var r Rate
	if err := args(d, &r.From, &r.To, &r.Rate); err != nil {
		return err
	}
	a.Rates = append(a.Rates, r)
	if _, err := newExchange(a.Rates); err != nil {
		return d.WrapErr(err)
	}
	return nil
}
