package price

import (
	"math/bits"
	"slices"
)

// charactersPerToken is what a minimum in characters is converted by: four characters
// a token, as the vendors advise for estimates.
const charactersPerToken = 4

// Defaults for what bounds a call, where neither client nor price says.
const (
	// DefaultMaxTokens is the longest answer of the largest models, in tokens.
	DefaultMaxTokens = 128 << 10
	// DefaultImageTokens is more than any vendor publishes for one image.
	DefaultImageTokens = 16 << 10
	// DefaultSearches is how often a call searches that may, and says no most.
	DefaultSearches = 32
)

// Price is what a model costs at a provider.
type Price struct {
	Currency Currency
	// Rates hold for prompts of any length, unless one of Above does.
	Rates
	// Above are the rates of calls whose prompt has more tokens than theirs, in
	// ascending order. They hold for the whole call.
	Above []Tier
	// ByTier are the prices of calls that are served in other service tiers than the vendor's own one, by its words.
	ByTier map[string]*Price
	// Uplifts are by how much all tokens are dearer where the provider says that they were processed in a region, by its word
	// for that: 1.1 Units for a tenth.
	Uplifts map[string]Amount
	// Request is charged for each request besides, and Search for each search of the provider's own tools. EachSearches says
	// that each request searches once, where the provider does not count it.
	Request, Search Amount
	EachSearches    bool
	// MinCharacters and MinTokens are what a shorter prompt is charged as; 0 for none.
	// A minimum in characters is converted by four characters a token.
	MinCharacters, MinTokens int64
	// MaxTokens is the longest answer that the model gives, and ImageTokens the most
	// that an image takes: they bound what a call may cost. The defaults named above
	// when 0.
	MaxTokens, ImageTokens int64
	// ThinkingTokens is the most that the model thinks beyond the longest answer, and beyond
	// what a request permits for it, which some vendors take for the answer alone
	// (https://www.alibabacloud.com/help/en/model-studio/qwen-api-via-dashscope).
	ThinkingTokens int64
}

// Rates are prices of tokens.
type Rates struct {
	Input, Output PerToken
	// Cached is for the part of the prompt that the provider had cached, and Written
	// for that which it writes to its cache; Input where they are nil.
	Cached, Written *PerToken
	// WrittenHour is for what stays in that cache for an hour; Written where it is nil.
	WrittenHour *PerToken
	// AudioIn and ImageIn are for sound and pictures of the prompt, and AudioOut and ImageOut for those of the answer;
	// Input and Output where they are nil.
	AudioIn, ImageIn, AudioOut, ImageOut *PerToken
}

// times gives r that often, in Units, rounded up.
func (r Rates) times(factor Amount) Rates {
	each := func(n PerToken) PerToken {
		high, low := bits.Mul64(uint64(n), uint64(factor))
		return PerToken(quotient(high, low, uint64(Unit)))
	}
	r.Input, r.Output = each(r.Input), each(r.Output)
	for _, part := range []**PerToken{&r.Cached, &r.Written, &r.WrittenHour, &r.AudioIn, &r.ImageIn, &r.AudioOut, &r.ImageOut} {
		if *part != nil {
			n := each(**part)
			*part = &n
		}
	}
	return r
}

// Tier are the rates of long prompts.
type Tier struct {
	// Tokens is the length that the prompt has to exceed.
	Tokens int64
	Rates
}

// Used is what a call has taken, or may take.
type Used struct {
	// Prompt are all tokens of the prompt: Cached of them came from the provider's
	// cache, and Written were written to it, WrittenHour of those for an hour. AudioIn
	// are sound, and ImageIn pictures.
	Prompt, Cached, Written, WrittenHour, AudioIn, ImageIn int64
	// Completion are all tokens of the answer, and AudioOut and ImageOut those of its
	// sound and pictures.
	Completion, AudioOut, ImageOut int64
	// Characters are the code points of the prompt's texts.
	Characters int64
	// Searches are how often the provider's own tools have searched.
	Searches int64
}

// Charge is what a call is charged.
type Charge struct {
	Amount Amount
	// Floor is the part of Amount that is due to the minimum alone.
	Floor Amount
	// Characters and Tokens are what the prompt is charged as.
	Characters, Tokens int64
}

// Of gives what u is charged.
func (p *Price) Of(u Used) Charge {
	c := Charge{Characters: max(u.Characters, p.MinCharacters), Tokens: p.charged(u)}
	c.Amount = p.amount(u, c.Tokens)
	c.Floor = max(c.Amount-p.amount(u, u.Prompt), 0)
	return c
}

// charged is how many tokens the prompt is charged as.
func (p *Price) charged(u Used) int64 {
	tokens := max(u.Prompt, p.MinTokens)
	if p.MinCharacters > u.Characters {
		tokens = max(tokens, (p.MinCharacters+charactersPerToken-1)/charactersPerToken)
	}
	return tokens
}

func (p *Price) amount(u Used, prompt int64) Amount {
	rates := p.ratesOf(prompt)
	cached := min(max(u.Cached, 0), prompt)
	written := min(max(u.Written, 0), prompt-cached)
	hour := min(max(u.WrittenHour, 0), written)
	fresh := prompt - cached - written
	audioIn, audioOut := min(max(u.AudioIn, 0), fresh), min(max(u.AudioOut, 0), u.Completion)
	imageIn, imageOut := min(max(u.ImageIn, 0), fresh-audioIn), min(max(u.ImageOut, 0), u.Completion-audioOut)
	var s sum
	s.add(fresh-audioIn-imageIn, rates.Input)
	s.add(audioIn, orElse(rates.AudioIn, rates.Input))
	s.add(imageIn, orElse(rates.ImageIn, rates.Input))
	s.add(cached, orElse(rates.Cached, rates.Input))
	s.add(written-hour, orElse(rates.Written, rates.Input))
	s.add(hour, orElse(rates.WrittenHour, orElse(rates.Written, rates.Input)))
	s.add(u.Completion-audioOut-imageOut, rates.Output)
	s.add(audioOut, orElse(rates.AudioOut, rates.Output))
	s.add(imageOut, orElse(rates.ImageOut, rates.Output))
	return s.amount().Plus(p.Request).Plus(p.Search.Times(p.searches(u)))
}

func (p *Price) searches(u Used) int64 {
	if p.EachSearches {
		return max(u.Searches, 1)
	}
	return u.Searches
}

func orElse(rate *PerToken, otherwise PerToken) PerToken {
	if rate == nil {
		return otherwise
	}
	return *rate
}

// notDearer are the service tiers that no vendor charges more for than for its own one.
var notDearer = []string{
	"", "auto", "default", "standard", "standard_only", "on_demand", "flex", "batch",
}

// In gives the price of a call in a service tier, by the vendor's word for it, or p where there is none of its own. known
// is false where it may be dearer than what is given.
func (p *Price) In(tier string) (_ *Price, known bool) {
	if own := p.ByTier[tier]; own != nil {
		return own, true
	}
	return p, slices.Contains(notDearer, tier)
}

// Within gives the price of a call that was processed in a region, by the vendor's word for it.
func (p *Price) Within(region string) *Price {
	if factor := p.Uplifts[region]; factor > 0 {
		return p.times(factor)
	}
	return p
}

// times gives p with that often its prices of tokens, in Units.
func (p *Price) times(factor Amount) *Price {
	dearer := *p
	dearer.Rates, dearer.Above = p.Rates.times(factor), slices.Clone(p.Above)
	for i, tier := range dearer.Above {
		dearer.Above[i].Rates = tier.Rates.times(factor)
	}
	return &dearer
}

func (p *Price) ratesOf(prompt int64) Rates {
	rates := p.Rates
	for _, tier := range p.Above {
		if prompt > tier.Tokens {
			rates = tier.Rates
		}
	}
	return rates
}

// Asked is what a request allows a call to take.
type Asked struct {
	// Bytes are the UTF-8 bytes of the prompt: no token is less than one.
	Bytes int64
	// Images is how many there are.
	Images int64
	// MaxTokens is the most that an answer may have, and N how many are asked for; 0
	// where the request does not say. Silent says that nothing is generated.
	MaxTokens, N int64
	Silent       bool
	// Searches is how often the provider's own tools may search for each answer.
	Searches int64
}

// LongestPrompt gives how many tokens a prompt has at most: one for each byte, and those of its images.
func (p *Price) LongestPrompt(a Asked) int64 {
	return plus(a.Bytes, times(a.Images, orDefault(p.ImageTokens, DefaultImageTokens)))
}

// Bound gives the most that a call may cost: each byte of the prompt is a token at the
// dearest of its rates, and each answer is as long as it may be, and as long thought about.
func (p *Price) Bound(a Asked) Amount {
	answer := orDefault(p.MaxTokens, DefaultMaxTokens)
	if a.MaxTokens > 0 && (a.MaxTokens < answer || p.MaxTokens == 0) {
		answer = a.MaxTokens
	}
	// A prompt of the least characters or more has more bytes than the tokens that fewer are charged as.
	var most Used
	most.Prompt = p.LongestPrompt(a)
	if !a.Silent {
		most.Completion = times(max(a.N, 1), plus(answer, p.ThinkingTokens))
	}
	most.Searches = times(max(a.N, 1), a.Searches)
	return p.Most(most)
}

// Most gives the most that so many tokens may cost, whatever of them was written to a cache, is sound or is a picture: a call
// may be charged by any of its tiers up to the longest, and cheaper by the longer one.
func (p *Price) Most(u Used) Amount {
	u = Used{Prompt: p.charged(u), Completion: u.Completion, Searches: u.Searches}
	dearest := Rates{Input: p.dearestInput(), Output: p.dearestOutput()}
	for _, tier := range p.Above {
		if u.Prompt > tier.Tokens {
			dearest.Input, dearest.Output = max(dearest.Input, tier.dearestInput()), max(dearest.Output, tier.dearestOutput())
		}
	}
	uplift := Unit
	for _, factor := range p.Uplifts { // where it will be processed, the request need not say
		uplift = max(uplift, factor)
	}
	dearest = dearest.times(uplift)
	return (&Price{Rates: dearest, Request: p.Request, Search: p.Search, EachSearches: p.EachSearches}).Of(u).Amount
}

// dearestInput is what a token of the prompt costs at most, whatever becomes of it, and dearestOutput one of the answer.
func (r Rates) dearestInput() PerToken {
	most := r.Input
	for _, other := range []*PerToken{r.Cached, r.Written, r.WrittenHour, r.AudioIn, r.ImageIn} {
		most = max(most, orElse(other, 0))
	}
	return most
}

func (r Rates) dearestOutput() PerToken {
	return max(r.Output, orElse(r.AudioOut, 0), orElse(r.ImageOut, 0))
}

func orDefault(n, otherwise int64) int64 {
	if n > 0 {
		return n
	}
	return otherwise
}

// most is the largest count: sums and products of it fit an int64.
const most = 1 << 50

func plus(a, b int64) int64 { return min(min(a, most)+min(b, most), most) }

func times(a, b int64) int64 {
	if a > 0 && b > most/a {
		return most
	}
	return a * b
}

// Book has the prices of one provider's models.
type Book struct {
	// ByModel are prices by the provider's name of the model, and Any that of all
	// others; nil for none.
	ByModel map[string]*Price
	Any     *Price
	// File has the prices of the models that ByModel does not have, under the names of
	// Vendor (see [File.Of]); nil for none.
	File   *File
	Vendor string
}

// Of gives the model's price; nil where it is not known.
func (b *Book) Of(model string) *Price {
	for name := range namesOf(model) { // of a name that is more exact first, whoever has it
		if p, ok := b.ByModel[name]; ok {
			return p
		}
		if p := b.File.named(b.Vendor, name); p != nil {
			return p
		}
	}
	return b.Any
}

// Owns reports whether the model's price is one of its own, and neither the file's nor that of all.
func (b *Book) Owns(model string) bool {
	for name := range namesOf(model) {
		if _, ok := b.ByModel[name]; ok {
			return b.Of(model) == b.ByModel[name]
		}
	}
	return false
}

// Names reports whether the book has a price of the model by its name.
func (b *Book) Names(model string) bool {
	_, ok := b.ByModel[model]
	return ok || b.File.named(b.Vendor, model) != nil
}

// Empty reports whether there is no price at all.
func (b *Book) Empty() bool { return len(b.ByModel) == 0 && b.Any == nil && b.File == nil }

// Currencies are those of the book's prices, sorted.
func (b *Book) Currencies() []Currency {
	var found []Currency
	for _, p := range b.ByModel {
		found = append(found, p.Currency)
	}
	if b.Any != nil {
		found = append(found, b.Any.Currency)
	}
	if b.File != nil {
		found = append(found, fileCurrency)
	}
	slices.Sort(found)
	return slices.Compact(found)
}
