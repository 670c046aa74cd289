// Package e2e drives the gateway with the clients that people use: vendors' own
// SDKs, against a whole Caddy with the simulated Alipay AI API behind it, and
// Anthropic's to fall over to. Anthropic's SDK also says what its API takes and
// gives, and toxiproxy spoils the connections to both. It is a module of its own,
// so that what these require never enters the plugin's module graph, and has no
// use outside of its own tests.
//
// Every test of what a client meets runs over each protocol that it may speak to
// the gateway: HTTP/1.1, and through tls internal HTTP/1.1 and HTTP/2. Those of
// what lies behind the gateway use one.
package e2e
