package env_test

import (
	"fmt"

	"github.com/millrace-data/millrace/shared/env"
)

func ExampleLoad() {
	var config struct {
		BaseURL string     `envconfig:"BASE_URL" required:"true" doc:"the tenant's address"`
		APIKey  env.Secret `envconfig:"API_KEY" required:"true"`
	}
	lookup := env.Map(map[string]string{"VENDOR_API_KEY": "abc"})
	fmt.Println(env.Load(lookup, "VENDOR", &config))
	fmt.Println(config.APIKey, config.APIKey.Reveal())
	// Output:
	// configuration: VENDOR_BASE_URL is not set (the tenant's address)
	// *** abc
}
