// The tests that need vendors' SDKs, in a module of their own so that what the
// SDKs require never enters the plugin's module graph.
module github.com/caddy-alipayai/gateway/internal/e2e

go 1.26.0

replace github.com/caddy-alipayai/gateway => ../..

require github.com/caddy-alipayai/gateway v0.0.0-00010101000000-000000000000

require (
	github.com/coder/websocket v1.8.15 // indirect
	github.com/openai/openai-go/v3 v3.96.0 // indirect
	github.com/tidwall/gjson v1.20.0 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.1 // indirect
	github.com/tidwall/sjson v1.2.5 // indirect
)
