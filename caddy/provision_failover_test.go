package alipaycaddy

import (
	"strings"
	"testing"

	"filippo.io/age"
)

// operators declares alerts and evidence, and nothing else.
func operators(options ...string) string {
	return "alipayai {\n" + strings.Join(options, "\n") + "\n}"
}

// agentProvider declares a complete provider of agents but for its agent.
func agentProvider(options ...string) string {
	return provider(append([]string{"profile nextbuilder", "client_id 2021000000000001", "key 1 {file.${rsa}}"}, options...)...)
}

// failing is a site with these options of its proxy.
func failing(options ...string) string {
	return "alipayai_proxy alipay {\n" + strings.Join(options, "\n") + "\n}"
}

// TestProvisionRefusesFailover loads what the syntax allows of failing over
// but makes no sense.
func TestProvisionRefusesFailover(t *testing.T) {
	tests := map[string]struct {
		global, site string
		want         []string
	}{
		"unknown action": {hmacProvider("on ACQ.* ignore"), "",
			[]string{"provider alipay: on ACQ.*: ", `action "ignore"`, "system_error"}},
		"bad pattern": {hmacProvider("on ACQ.[ fail"), "", []string{`provider alipay: on "ACQ.["`, "pattern"}},
		"unknown on_unsupported": {provider("profile sandbox_anthropic", "on_unsupported ignore"), "",
			[]string{`provider alipay: on_unsupported "ignore"`, "reject, warn or drop"}},
		"unknown dialect": {provider("profile openai", "api_key {env.TEST_SECRET}", "dialect klingon"), "",
			[]string{`provider alipay: dialect "klingon"`, "use one of alipay, deepseek, glm, google, legacy, mistral, moonshot, none, openai, qwen"}},
		"dialect of another format": {provider("profile sandbox_anthropic", "dialect openai"), "",
			[]string{"provider alipay: dialect goes with OpenAI's format", "profile sandbox_anthropic"}},
		"agent of another profile": {hmacProvider("agent a"), "", []string{"provider alipay: agent", "nextbuilder"}},
		"agent in two lines":       {agentProvider("agent \"a\nb\""), "", []string{"provider alipay: agent"}},
		"nextbuilder alone":        {agentProvider(), "", []string{"provider alipay: agent", "agent <id>"}},
		"agent unset":              {agentProvider("agent {env.TEST_UNSET}"), "", []string{"provider alipay: agent", "{env.TEST_UNSET}"}},
		"simulated Anthropic not local": {provider("profile sandbox_anthropic", "base_url http://192.0.2.1/v1"), "",
			[]string{"provider alipay: base_url", "sandbox_anthropic", "loopback"}},
		"simulated Anthropic in production": {provider("profile sandbox_anthropic", "environment production"), "",
			[]string{"provider alipay: environment production"}},
		"demo key in production": {provider("profile anthropic", "api_key {env.TEST_DEMO_KEY}"), "",
			[]string{"provider alipay: api_key", "sandbox (the simulator)", "production"}},

		"unknown class": {hmacProvider(), failing("class free"), []string{`class "free"`, "inference or money"}},
		"cached answers for a moment": {hmacProvider(), failing("cached_answer 10ms"),
			[]string{"cached_answer", "24h"}},
		"cached answers of money": {hmacProvider(), failing("class money", "cached_answer 24h"),
			[]string{"cached_answer", "class money"}},
		"cached answers of an agent": {agentProvider("agent a"), failing("cached_answer 24h"),
			[]string{"cached_answer", "provider alipay", "session"}},
		"a breaker that is open for long": {hmacProvider(), failing("breaker 3 5m 61m"), []string{"breaker", "open_for", "an hour"}},
		"a breaker that looks far back":   {hmacProvider(), failing("breaker 3 2h"), []string{"breaker", "within", "an hour"}},
		"packs of money":                  {hmacProvider(), failing("class money", "pack"), []string{"pack", "class money"}},
		"packs of one":                    {hmacProvider(), failing("pack {\nmax_calls 1\n}"), []string{"pack: max_calls", "2"}},
		"packs that wait for long":        {hmacProvider(), failing("pack {\nmax_wait 2s\n}"), []string{"pack: max_wait", "1s"}},
		"packs by no header":              {hmacProvider(), failing("pack {\nuser_header \"a b\"\n}"), []string{"pack: user_header", `"a b"`}},
		"claims for a moment":             {hmacProvider(), failing("idempotency 10ms"), []string{"idempotency", "a second or more"}},

		"redis without encryption_key": {operators("store redis a:1"), "", []string{"store redis", "encryption_key", "openssl rand -hex 32"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			refuses(t, tt.global, tt.site, tt.want)
		})
	}
}

// TestProvisionRefusesOperators loads evidence and alerts that have no recipient.
// Errors do not repeat secrets.
func TestProvisionRefusesOperators(t *testing.T) {
	pair := must(age.GenerateX25519Identity())
	evidence := func(options ...string) string {
		return operators("evidence {", strings.Join(options, "\n"), "}")
	}
	recipient := "recipient " + pair.Recipient().String()
	const routingKey = "0123456789abcdef0123456789ABCDEF"
	tests := map[string]struct {
		global string
		want   []string
	}{
		"evidence without recipient":    {evidence("dir ${dir}/evidence"), []string{"evidence: recipient", "age1"}},
		"evidence nowhere":              {evidence(recipient), []string{"evidence: dir"}},
		"evidence, dir unset":           {evidence(recipient, "dir {env.TEST_UNSET}"), []string{"evidence: dir", "{env.TEST_UNSET}"}},
		"evidence, recipient unset":     {evidence("recipient {env.TEST_UNSET}", "dir ${dir}"), []string{"evidence: recipient", "{env.TEST_UNSET}"}},
		"evidence, no age key":          {evidence("recipient "+aSecret, "dir ${dir}"), []string{"evidence: recipient", "not an age public key"}},
		"evidence, another kind of key": {evidence("recipient \"ssh-ed25519 AAAA\"", "dir ${dir}"), []string{"evidence: recipient", "not an age public key"}},
		"evidence, private key":         {evidence("recipient "+pair.String(), "dir ${dir}"), []string{"evidence: recipient", "private key", "age-keygen -y"}},
		"evidence, private key by placeholder": {evidence("recipient {env.TEST_AGE_PRIVATE}", "dir ${dir}"),
			[]string{"evidence: recipient", "private key", "age-keygen -y"}},

		"unknown alert":        {operators("alert email https://example.com/" + aSecret), []string{`alert 1: type "email" is unknown`, "slack, pagerduty, webhook or shoutrrr"}},
		"literal slack":        {operators("alert slack https://hooks.slack.com/services/" + aSecret), []string{"alert 1: slack url", "literal", "insecure_literals"}},
		"literal webhook":      {operators("alert slack {env.TEST_URL}", "alert webhook https://example.com/"+aSecret), []string{"alert 2: webhook url", "literal"}},
		"literal shoutrrr":     {operators("alert shoutrrr lark://open.larksuite.com/" + aSecret), []string{"alert 1: shoutrrr url", "literal"}},
		"local, with password": {operators("alert webhook http://ops:" + aSecret + "@127.0.0.1/"), []string{"alert 1: webhook url", "literal"}},
		"no scheme":            {operators("alert webhook 127.0.0.1:8083/alerts"), []string{"alert 1: webhook url", "http://"}},
		"local, by its name":   {operators("alert webhook http://127.0.0.1.example.com/" + aSecret), []string{"alert 1: webhook url", "literal"}},
		"empty address":        {operators("alert slack \"\""), []string{"alert 1: slack url is empty"}},
		"unset address":        {operators("alert slack {env.TEST_UNSET}"), []string{"alert 1: slack url", "{env.TEST_UNSET}"}},
		"text around a secret": {operators("alert slack https://hooks.slack.com/{env.TEST_SECRET}"), []string{"alert 1: slack url", "literal"}},
		"no address":           {operators("alert slack {env.TEST_SECRET}"), []string{"alert 1: ", "slack", "https"}},
		"no service":           {operators("alert shoutrrr {env.TEST_URL}"), []string{"alert 1: ", "shoutrrr", "lark://"}},
		"literal routing key":  {operators("alert pagerduty " + routingKey), []string{"alert 1: pagerduty routing_key", "literal"}},
		"short routing key":    {operators("alert pagerduty {env.TEST_SECRET}"), []string{"alert 1: ", "routing key", "32"}},
		"pagerduty, no address": {operators("alert pagerduty {env.TEST_ROUTING_KEY} nowhere"),
			[]string{"alert 1: ", "pagerduty", "address"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TEST_AGE_PRIVATE", pair.String())
			t.Setenv("TEST_URL", "https://example.com/"+aSecret)
			t.Setenv("TEST_ROUTING_KEY", routingKey)
			refuses(t, tt.global, "", tt.want, pair.String(), routingKey)
		})
	}
}

// TestProvisionRefusesFailoverJSON changes an accepted configuration to what
// only its JSON can say.
func TestProvisionRefusesFailoverJSON(t *testing.T) {
	t.Setenv("TEST_URL", "https://example.com/alerts")
	global := strings.Replace(hmacProvider("on A fail"), "alipayai {", `alipayai {
	evidence {
		recipient `+must(age.GenerateX25519Identity()).Recipient().String()+`
		dir ${dir}/evidence
		ttl 1h
		max_bytes 7B
	}
	alert slack {env.TEST_URL}
	alert_system_errors 9`, 1)
	site := ":0 {\n" + failing("breaker 3 4s 5s", "cached_answer 6s {\nmax_bytes 8B\n}", "idempotency 11s") + "\n}"
	refusesJSON(t, global, site, map[string]changedJSON{
		"negative failures":           {`"failures":3`, `"failures":-3`, []string{"breaker: failures"}},
		"negative within":             {`"within":4000000000`, `"within":-1`, []string{"breaker: ", "within"}},
		"negative open_for":           {`"open_for":5000000000`, `"open_for":-1`, []string{"breaker: ", "open_for"}},
		"negative idempotency":        {`"ttl":11000000000`, `"ttl":-1`, []string{"idempotency: "}},
		"negative cached_answer":      {`"ttl":6000000000`, `"ttl":-1`, []string{"cached_answer: "}},
		"cached_answer without ttl":   {`,"ttl":6000000000`, ``, []string{"cached_answer: ", "24h"}},
		"cached_answer of no size":    {`"max_bytes":8,`, `"max_bytes":-1,`, []string{"cached_answer: ", "max_bytes"}},
		"negative evidence ttl":       {`"ttl":3600000000000`, `"ttl":-1`, []string{"evidence: ttl"}},
		"negative evidence size":      {`"max_bytes":7}`, `"max_bytes":-1}`, []string{"evidence: ", "max_bytes"}},
		"negative system errors":      {`"alert_system_errors":9`, `"alert_system_errors":-1`, []string{"alert_system_errors"}},
		"alert of nothing":            {`[{"type":"slack","url":"{env.TEST_URL}"}]`, `[null]`, []string{"alert 1 is null"}},
		"alert without a type":        {`"type":"slack",`, ``, []string{"alert 1: ", `type ""`}},
		"alert without an address":    {`,"url":"{env.TEST_URL}"`, ``, []string{"alert 1: slack url is empty"}},
		"routing key of another":      {`"type":"slack",`, `"type":"slack","routing_key":"{env.TEST_URL}",`, []string{"alert 1: routing_key", "pagerduty"}},
		"pagerduty without its key":   {`"type":"slack"`, `"type":"pagerduty"`, []string{"alert 1: pagerduty routing_key is empty"}},
		"code rule without a code":    {`"pattern":"A",`, ``, []string{"provider alipay: on", "pattern"}},
		"code rule without an action": {`,"action":"fail"`, ``, []string{"provider alipay: on A", `action ""`}},
		"agent without an id":         {`"profile":"alipay"`, `"profile":"nextbuilder","agent":{}`, []string{"provider alipay: agent is empty"}},
	})
}

// TestProvisionTakesOperators accepts what is no secret as it stands.
func TestProvisionTakesOperators(t *testing.T) {
	for name, global := range map[string]string{
		"alerts of this machine":  operators("alert webhook http://127.0.0.1:8083/a", "alert slack http://localhost/b", "alert webhook http://[::1]:1/c"),
		"another PagerDuty":       operators("alert pagerduty {env.TEST_ROUTING_KEY} https://events.eu.pagerduty.com/v2/enqueue"),
		"literals, permitted":     operators("insecure_literals", "alert slack https://hooks.slack.com/services/a", "alert pagerduty 0123456789abcdef0123456789ABCDEF"),
		"shoutrrr's services":     operators("alert shoutrrr {env.TEST_LARK}"),
		"evidence by placeholder": operators("evidence {\nrecipient {env.TEST_AGE}\nrecipient {env.TEST_AGE}\ndir {env.TEST_DIR}\n}"),
		"agent by placeholder":    agentProvider("agent {env.TEST_SECRET}"),
	} {
		t.Run(name, func(t *testing.T) {
			g := newSecretRig(t)
			t.Setenv("TEST_ROUTING_KEY", "0123456789abcdef0123456789ABCDEF")
			t.Setenv("TEST_LARK", "lark://open.larksuite.com/token")
			t.Setenv("TEST_AGE", must(age.GenerateX25519Identity()).Recipient().String())
			t.Setenv("TEST_DIR", g.vars["dir"])
			if err := g.provision(global, ""); err != nil {
				t.Error(err)
			}
			if left := references(); len(left) != 0 {
				t.Errorf("left in the pool: %v", left)
			}
		})
	}
}
