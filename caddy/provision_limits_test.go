package alipaycaddy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// withStore declares hmacProvider and where limits are shared.
func withStore(options ...string) string {
	return strings.Replace(hmacProvider(), "alipayai {", "alipayai {\nencryption_key {env.TEST_ENCRYPTION_KEY}\nstore redis {\n"+strings.Join(options, "\n")+"\n}", 1)
}

// TestProvisionRefusesLimits loads caps, queues, stores and tenants' limits that
// the syntax allows but that cannot be kept.
func TestProvisionRefusesLimits(t *testing.T) {
	tests := map[string]struct {
		global, site string
		want         []string
	}{
		"queue without a limit": {provider("profile ollama", "queue {\nmax_count 1\n}"), "",
			[]string{"provider alipay: queue", "without a limit"}},
		"queue of a limit off": {hmacProvider("limit off", "queue {\nmax_count 1\n}"), "",
			[]string{"provider alipay: queue", "without a limit"}},

		"no address":    {withStore("replicas 2"), "", []string{"store redis: ", "address"}},
		"unset address": {withStore("address {env.TEST_UNSET}"), "", []string{"store redis: address", "{env.TEST_UNSET}"}},
		"cluster and master_name": {withStore("address a:1", "cluster", "master_name m"), "",
			[]string{"store redis: ", "cluster and master_name"}},
		"cluster and db":      {withStore("address a:1", "cluster", "db 1"), "", []string{"store redis: ", "cluster", "database"}},
		"two plain addresses": {withStore("address a:1 b:1"), "", []string{"store redis: ", "master_name or cluster"}},
		"literal password":    {withStore("address a:1", "password "+aSecret), "", []string{"store redis: password", "literal", "insecure_literals"}},
		"text around a password": {withStore("address a:1", "password x{env.TEST_SECRET}"), "",
			[]string{"store redis: password", "literal"}},
		"unset password":              {withStore("address a:1", "password {env.TEST_UNSET}"), "", []string{"store redis: password", "{env.TEST_UNSET}"}},
		"a password in an address":    {withStore("address redis://:" + aSecret + "@a:1"), "", []string{"store redis: address has a password in it", "insecure_literals"}},
		"a password and no scheme":    {withStore("address :" + aSecret + "@a"), "", []string{"store redis: ", "an address is not host:port"}},
		"a password before a host":    {withStore("address " + aSecret + "@a:1"), "", []string{"store redis: ", "an address is not host:port"}},
		"a password for an address":   {withStore("address a:" + aSecret), "", []string{"store redis: ", "an address is not host:port"}},
		"a user alone":                {withStore("address redis://u@a:1"), "", []string{"store redis: ", "username needs password"}},
		"a damaged URL":               {withStore("address redis://:" + aSecret + "@a:port"), "", []string{"store redis: address is not a URL", "rediss://"}},
		"a URL of something else":     {withStore("address https://a:1"), "", []string{"store redis: address: the scheme of a URL is redis, or rediss"}},
		"a socket as a URL":           {withStore("address unix:///run/redis.sock"), "", []string{"store redis: address: ", "unix//run/redis/redis.sock"}},
		"a socket that is relative":   {withStore("address unix/redis.sock"), "", []string{"store redis: address: the path of a unix socket is absolute"}},
		"a URL with options":          {withStore("address redis://a:1?max_retries=3"), "", []string{"store redis: address: a URL is redis://"}},
		"a URL with another database": {withStore("address redis://a:1/two"), "", []string{"store redis: address: ", "number of the database"}},
		"a database twice":            {withStore("address redis://a:1/2", "db 3"), "", []string{"store redis: username, password or db is given twice"}},
		"URLs that differ":            {withStore("address redis://a:1 rediss://b:1", "cluster"), "", []string{"store redis: the addresses differ"}},
		"a user of the Sentinels":     {withStore("address redis://u@a:1", "master_name m"), "", []string{"store redis: the addresses are those of the Sentinels"}},
		"a socket of a cluster":       {withStore("address unix//run/redis.sock", "cluster"), "", []string{"store redis: ", "a unix socket is for one server"}},
		"a socket with TLS":           {withStore("address unix//run/redis.sock", "tls"), "", []string{"store redis: ", "a unix socket is for one server"}},
		"no file of authorities":      {withStore("address a:1", "tls_ca ${dir}/none.pem"), "", []string{"store redis: tls_ca: ", "none.pem"}},
		"authorities of something":    {withStore("address a:1", "tls_ca ${damaged}"), "", []string{"store redis: tls_ca: ", "has no PEM certificate"}},
		"no file of a certificate":    {withStore("address a:1", "tls_client_auth ${dir}/none.pem ${dir}/none.key"), "", []string{"store redis: tls_client_auth: ", "none.pem"}},
		"little room for a tenant": {withStore("address a:1", "tenant_bytes 1023KiB"), "",
			[]string{"store redis: tenant_bytes 1047552", "at least 1048576 (1 MiB)"}},
		"ledger in a folder":     {operators("ledger ${dir}", "provider a {", "profile ollama", "}"), "", []string{"ledger ", "it is a folder", "name a file in it"}},
		"ledger in another file": {operators("ledger ${damaged}", "provider a {", "profile ollama", "}"), "", []string{"ledger ", "the file of something else"}},
		"unset username":         {withStore("address a:1", "username {env.TEST_UNSET}"), "", []string{"store redis: username", "{env.TEST_UNSET}"}},

		"unknown priority": {hmacProvider(), "alipayai_proxy alipay {\npriority acme urgent\n}",
			[]string{`priority "urgent" of tenant acme`, "high, normal or low"}},
		"unknown priority of all": {hmacProvider(), "alipayai_proxy alipay {\npriority * High\n}",
			[]string{`priority "High" of tenant *`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			refuses(t, tt.global, tt.site, tt.want)
		})
	}
}

// TestProvisionRefusesJSON changes an accepted configuration to what only its
// JSON can say.
func TestProvisionRefusesJSON(t *testing.T) {
	global := strings.Replace(hmacProvider("limit 50 1s 10ms", "queue {\nmax_wait 5s\nmax_count 7\nmax_bytes 9\n}"),
		"alipayai {", "alipayai {\nencryption_key {env.TEST_ENCRYPTION_KEY}\nstore redis a:1 {\nreplicas 3\ndb 2\n}", 1)
	site := ":0 {\nalipayai_proxy alipay {\nlimit acme {\nrequests_per_second 2\nburst 3\ntokens_per_minute 4\nconcurrent 5\n}\nweight acme 6\n}\n}"
	refusesJSON(t, global, site, map[string]changedJSON{
		"limit without a window": {`,"window":1000000000`, ``, []string{"provider alipay: limit", "window"}},
		"limit of nothing":       {`"requests":50,`, ``, []string{"provider alipay: limit", "at least one request"}},
		"negative limit":         {`"requests":50`, `"requests":-1`, []string{"provider alipay: limit", "at least one request"}},
		"negative window":        {`"window":1000000000`, `"window":-1`, []string{"provider alipay: limit", "window"}},
		"negative guard":         {`"guard":10000000`, `"guard":-1`, []string{"provider alipay: limit"}},
		"negative max_wait":      {`"max_wait":5000000000`, `"max_wait":-1`, []string{"provider alipay: queue", "max_wait"}},
		"negative max_count":     {`"max_count":7`, `"max_count":-1`, []string{"provider alipay: queue", "max_count"}},
		"negative max_bytes":     {`"max_bytes":9`, `"max_bytes":-1`, []string{"provider alipay: queue", "max_bytes"}},
		"port of redis":          {`"a:1"`, `"a:70000"`, []string{"store redis: ", "the port 70000"}},
		"negative replicas":      {`"replicas":3`, `"replicas":-1`, []string{"store redis: replicas"}},
		"negative db":            {`"db":2`, `"db":-1`, []string{"store redis: ", "db"}},
		"negative rate":          {`"requests_per_second":2`, `"requests_per_second":-1`, []string{"limits of tenant acme"}},
		"negative burst":         {`"burst":3`, `"burst":-1`, []string{"limits of tenant acme"}},
		"negative tokens":        {`"tokens_per_minute":4`, `"tokens_per_minute":-1`, []string{"limits of tenant acme"}},
		"negative concurrency":   {`"concurrent":5`, `"concurrent":-1`, []string{"limits of tenant acme"}},
		"weight of nothing":      {`"weights":{"acme":6}`, `"weights":{"acme":0}`, []string{"weight of tenant acme"}},
	})
}

// changedJSON is a change of a configuration's JSON, and what the error says of it.
type changedJSON struct {
	old, changed string
	want         []string
}

// refusesJSON provisions a configuration with each of the changes; it must fail.
func refusesJSON(t *testing.T, global, site string, tests map[string]changedJSON) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newSecretRig(t)
			text := string(g.config(global, site))
			if strings.Count(text, tt.old) != 1 {
				t.Fatalf("%s does not stand once in %s", tt.old, text)
			}
			var config *caddy.Config
			if err := json.Unmarshal([]byte(strings.Replace(text, tt.old, tt.changed, 1)), &config); err != nil {
				t.Fatal(err)
			}
			err := caddy.Validate(config)
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, text := range tt.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not say %q", err, text)
				}
			}
			if left := references(); len(left) != 0 {
				t.Errorf("left in the pool: %v", left)
			}
		})
	}
}

// TestValidateDoesNotConnectToRedis provisions stores of every kind.
func TestValidateDoesNotConnectToRedis(t *testing.T) {
	silent, connections := newSilentServer(t)
	for name, options := range map[string][]string{
		"one server": {"password {env.TEST_SECRET}"},
		"tls":        {"tls"},
		"sentinel":   {"master_name gateway"},
		"cluster":    {"cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newSecretRig(t)
			g.vars["silent"] = silent
			global := withStore(append(options, "address ${silent}", "replicas 3")...)
			if err := g.provision(global, ":0 {\nalipayai_proxy alipay\n}"); err != nil {
				t.Fatal(err)
			}
			if n := connections.Load(); n != 0 {
				t.Errorf("%d connections while provisioning", n)
			}
			if left := references(); len(left) != 0 {
				t.Errorf("left in the pool: %v", left)
			}
		})
	}
}
