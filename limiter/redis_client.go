package limiter

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// redisTimeout bounds one exchange with Redis, connecting included.
	redisTimeout = 50 * time.Millisecond
	// redisDialTimeout is longer because connections are made in the
	// background: a handshake that outlasts the call serves the next one.
	redisDialTimeout = 250 * time.Millisecond
	// redisLongest is what the client itself gives a use of Redis: no use has more by
	// its deadline, which alone is to hold.
	redisLongest = 10 * time.Second
	// redisPoolSize is the most connections to one server.
	redisPoolSize = 64
)

// RedisOptions say where Redis is: one server, a master that Sentinel knows, or
// a Cluster; version 5 or later.
type RedisOptions struct {
	// Addresses are host:port: of the server, of the Sentinels if MasterName
	// is set, of some nodes if Cluster is. That of one server may be the path of its
	// unix socket, such as /run/redis/redis.sock.
	Addresses []string
	// MasterName is the master's name at the Sentinels.
	MasterName string
	// Cluster says that the servers are a Redis Cluster.
	Cluster bool
	// Username and Password authenticate at the servers, not the Sentinels. There is no user
	// without a password.
	Username, Password string
	// SentinelUsername and SentinelPassword authenticate at the Sentinels.
	SentinelUsername, SentinelPassword string
	// TLS is used for every connection if it is set.
	TLS *tls.Config
	// DB is the number of the database; a Cluster has only 0.
	DB int
}

// ErrRedisOptions are options that contradict each other.
var ErrRedisOptions = errors.New("redis options")

// Check says what contradicts what.
func (o RedisOptions) Check() error {
	switch {
	case len(o.Addresses) == 0:
		return fmt.Errorf("%w: at least one address is needed", ErrRedisOptions)
	case o.Cluster && o.MasterName != "":
		return fmt.Errorf("%w: cluster and master_name exclude each other", ErrRedisOptions)
	case o.MasterName == "" && (o.SentinelUsername != "" || o.SentinelPassword != ""):
		return fmt.Errorf("%w: sentinel_username and sentinel_password need master_name", ErrRedisOptions)
	case o.Username != "" && o.Password == "", o.SentinelUsername != "" && o.SentinelPassword == "":
		// The client would leave both out (go-redis v9.23, commands.go, Hello).
		return fmt.Errorf("%w: username needs password, and sentinel_username needs sentinel_password; a user without one takes any", ErrRedisOptions)
	case o.Cluster && o.DB != 0:
		return fmt.Errorf("%w: a cluster has no database but 0", ErrRedisOptions)
	case !o.Cluster && o.MasterName == "" && len(o.Addresses) > 1:
		return fmt.Errorf("%w: several addresses need master_name or cluster", ErrRedisOptions)
	}
	for _, address := range o.Addresses {
		if isSocket(address) {
			if o.Cluster || o.MasterName != "" || o.TLS != nil {
				return fmt.Errorf("%w: a unix socket is for one server, without Sentinel, cluster and TLS", ErrRedisOptions)
			}
			continue
		}
		_, port, err := net.SplitHostPort(address)
		notDigit := func(r rune) bool { return r < '0' || r > '9' }
		// What is no address may be a password, and is not told: with an @ in it, or another port than a number.
		if err != nil || port == "" || strings.ContainsAny(address, "/@") || strings.ContainsFunc(port, notDigit) {
			return fmt.Errorf("%w: an address is not host:port; write it like 10.0.0.5:6379", ErrRedisOptions)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("%w: an address has the port %s; ports are numbers from 1 to 65535", ErrRedisOptions, port)
		}
	}
	return nil
}

// isSocket says whether an address is the path of a unix socket, as the client takes it to be.
func isSocket(address string) bool { return strings.HasPrefix(address, "/") }

// NewRedisClient makes a client that is safe for windows, and for all else that is
// shared: it repeats nothing by itself, keeps to the deadline of every call, up to
// 10 s, and gives up after 50 ms where there is none. It connects when it is first
// used. The caller closes it.
func NewRedisClient(o RedisOptions) (redis.UniversalClient, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	options := &redis.UniversalOptions{
		Addrs:      o.Addresses,
		MasterName: o.MasterName,
		Username:   o.Username,
		Password:   o.Password,
		DB:         o.DB,

		SentinelUsername: o.SentinelUsername,
		SentinelPassword: o.SentinelPassword,

		TLSConfig: o.TLS,

		// A repeat by the client would go unseen; windows repeat by themselves.
		MaxRetries:            -1,
		ContextTimeoutEnabled: true,
		DialTimeout:           redisDialTimeout,
		DialerRetries:         1,
		// The shorter one of these and the deadline would hold.
		ReadTimeout:  redisLongest,
		WriteTimeout: redisLongest,
		PoolTimeout:  redisLongest,
		PoolSize:     redisPoolSize,
		// What follows a new connection is one exchange, not three.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	switch {
	case o.Cluster:
		nodes := options.Cluster()
		// Scripts go to the master of their key; nothing is to be looked up.
		nodes.DisableRoutingPolicies = true
		client := redis.NewClusterClient(nodes)
		client.OnNewNode(func(node *redis.Client) { node.AddHook(hook{}) })
		return client, nil
	case o.MasterName != "":
		client := redis.NewFailoverClient(options.Failover())
		client.AddHook(hook{})
		return client, nil
	}
	client := redis.NewClient(options.Simple())
	client.AddHook(hook{})
	return client, nil
}

// hook changes how a client connects and how long it waits.
type hook struct{}

// DialHook implements redis.Hook. It reports that a connection cannot be made as a
// connection that fails: the client's pool counts failures to connect, and after
// some it tries no more than once a second, too seldom to be back in time.
func (hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := next(ctx, network, address)
		if err != nil {
			return failedConn{err: err}, nil
		}
		return conn, nil
	}
}

// ProcessHook implements redis.Hook. It gives a deadline to what has none, such as the
// client's own questions to the nodes of a Cluster, and names a server that takes no connection.
func (hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, end := withDeadline(ctx)
		defer end()
		err := next(ctx, cmd)
		if cmd.Name() == "hello" && isTurnedAway(err) {
			return turnedAwayError(err.Error())
		}
		return err
	}
}

// turnedAwayError is what a server has said to a new connection before it closed it. The client takes any error of Redis for the
// answer of a server that does not know HELLO, its first command, and goes on (go-redis v9.23, redis.go, initConn): what the log
// then has is a broken pipe. So this is none of Redis's errors.
type turnedAwayError string

// Error implements error.
func (e turnedAwayError) Error() string { return string(e) }

// isTurnedAway reports whether a server has closed a connection with err: in protected mode, and with as many clients as it takes,
// be it of a cluster's (Redis 7.4, networking.c, clientAcceptHandler and acceptCommonHandler).
func isTurnedAway(err error) bool {
	return redis.HasErrorPrefix(err, "DENIED") || redis.HasErrorPrefix(err, "max number of clients") // ERR before it is not looked at
}

// ProcessPipelineHook implements redis.Hook, like ProcessHook.
func (hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		ctx, end := withDeadline(ctx)
		defer end()
		return next(ctx, cmds)
	}
}

func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, redisTimeout)
}

// failedConn is a connection that could not be made.
type failedConn struct {
	net.Conn
	err error
}

func (c failedConn) Read([]byte) (int, error)         { return 0, c.err }
func (c failedConn) Write([]byte) (int, error)        { return 0, c.err }
func (c failedConn) Close() error                     { return nil }
func (c failedConn) SetDeadline(time.Time) error      { return nil }
func (c failedConn) SetReadDeadline(time.Time) error  { return nil }
func (c failedConn) SetWriteDeadline(time.Time) error { return nil }
func (c failedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c failedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
