package rest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/millrace-data/millrace/shared/rest"
)

func Example() {
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"users":[{"id":1},{"id":2}],"pageInfo":{"hasMore":false}}`)
	}))
	defer vendor.Close()

	client, err := rest.New(rest.Options{BaseURL: vendor.URL})
	if err != nil {
		panic(err)
	}
	body, err := client.Get(context.Background(), "/users", nil)
	if err != nil {
		panic(err)
	}
	defer body.Close()
	info, err := rest.Rows(body, "users", func(raw []byte) error {
		fmt.Println(string(raw))
		return nil
	})
	fmt.Println(string(info["pageInfo"]), err)
	// Output:
	// {"id":1}
	// {"id":2}
	// {"hasMore":false} <nil>
}
