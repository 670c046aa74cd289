// Package alipaycaddy adapts the alipayai domain to Caddy: modules, Caddyfile
// directives and the state that survives a reload.
//
//	alipayai                                      app.go        providers, declared once
//	admin.api.alipayai                            usage_api.go  what operators ask at the admin endpoint
//	http.handlers.alipayai_proxy                  proxy.go      serves OpenAI's endpoints
//	http.matchers.alipayai                        matcher.go    matches requests by the call that they make
//	http.reverse_proxy.transport.alipayai         transport.go  signs what reverse_proxy sends
//	http.handlers.alipayai_moderate               moderate.go   holds requests and answers against a policy
//	http.handlers.alipayai_oauth                  oauth.go      pages in which users authorise calls
//	http.handlers.alipayai_auth                   auth.go       authentication with OpenAI's errors
//	http.handlers.alipayai_errors                 errors.go     other handlers' errors in clients' forms
//	http.authentication.providers.alipayai_keys   keys_auth.go  bearer keys to tenants
//	http.handlers.alipayai_sandbox                sandbox.go    the simulated Alipay AI API
package alipaycaddy
