// Package alipaycaddy adapts the alipayai domain to Caddy: modules, Caddyfile
// directives and the state that survives a reload.
//
//	alipayai                                      app.go        providers, declared once
//	admin.api.alipayai                            admin.go      what operators ask at the admin endpoint
//	http.handlers.alipayai_proxy                  proxy.go      serves OpenAI's endpoints
//	http.matchers.alipayai                        matcher.go    matches requests by the call that they make
//	http.reverse_proxy.transport.alipayai         transport.go  signs what reverse_proxy sends
//	http.handlers.alipayai_moderate               moderate.go   holds requests and answers against a policy
//	http.handlers.alipayai_oauth                  oauth.go      pages in which users authorise calls
//	http.handlers.alipayai_auth                   auth.go       authentication with OpenAI's errors
//	http.handlers.alipayai_errors                 errors.go     other handlers' errors in clients' forms
//	http.authentication.providers.alipayai_keys   keys_auth.go  bearer keys to tenants
//	http.handlers.alipayai_sandbox                sandbox.go    the simulated Alipay AI API
//
// The app is made in provision.go: of parts, each of which is opened from those that it needs. What they acquire is pooled in
// state.go, and given back by lifecycle.go. Packages below this one know nothing of its modules: command has the commands of
// operators, stored what Caddy's storage keeps, and routes the way of requests through a server.
package alipaycaddy
