package pubsub_test

import (
	"context"
	"fmt"

	gcp "cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/chain/pubsub"
)

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	srv := pstest.NewServer() // Pub/Sub in this process, as the local cloud has it
	defer srv.Close()
	conn, err := grpc.NewClient(srv.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	client, err := gcp.NewClient(ctx, "local", option.WithGRPCConn(conn))
	if err != nil {
		panic(err)
	}
	defer client.Close()

	c := pubsub.New(client)
	defer c.Close()
	fmt.Println(c.Ensure(ctx, chain.TopicLoaded))
	fmt.Println(c.Publish(ctx, chain.Message{Topic: chain.TopicLoaded, Key: "oci.cost_report", Data: []byte("{}")}))
	err = c.Receive(ctx, chain.TopicLoaded, 1, func(_ context.Context, m chain.Message) error {
		fmt.Println(m.Topic, m.Key)
		cancel()
		return nil
	})
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
	// millrace-loaded oci.cost_report
	// <nil>
}
