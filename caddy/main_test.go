package alipaycaddy
import _ "github.com/caddyserver/caddy/v2/modules/standard"
