package uplink

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"sitewatch/uplink/wire"
)

const (
	connectTimeout = 10 * time.Second
	keepaliveTime  = 10 * time.Second
)

// dial makes a connection to the SOC for one session. gRPC's own reconnecting is never used: a session that breaks is
// closed and a new one begins, so that there is one place that knows whether we are connected.
func dial(addr string, creds credentials.TransportCredentials, how func(ctx context.Context, addr string) (net.Conn, error)) (*grpc.ClientConn, error) {
	if how == nil {
		how = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, "tcp", addr)
		}
	}
	return grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(how), // also keeps gRPC from asking the environment for a proxy
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes), grpc.MaxCallSendMsgSize(wire.MaxMessageBytes)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectTimeout}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTime, PermitWithoutStream: true}),
	)
}
