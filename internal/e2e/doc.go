// Package e2e drives the gateway with the clients that people use: vendors' own
// SDKs, against a whole Caddy with the simulated Alipay AI API behind it. It is
// a module of its own, so that what the SDKs require never enters the plugin's
// module graph, and has no use outside of its own tests.
//
// Every test runs over each protocol that a client may speak to the gateway:
// HTTP/1.1, and through tls internal HTTP/1.1 and HTTP/2.
package e2e
