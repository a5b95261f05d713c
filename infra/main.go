// Command infra is the CDK app. It reads its settings from the context of cdk.json and synthesizes
// one stack. Relative paths in cdk.json start at the folder of that file.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

func main() {
	code := synth()
	jsii.Close()
	os.Exit(code)
}

// synth writes the cloud assembly to the folder that the CDK's command line chose, and returns the
// exit code.
func synth() int {
	app := awscdk.NewApp(nil)
	cfg, err := configFrom(contextOf(app))
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		return 2
	}

	newStack(app, cfg)
	app.Synth(nil)
	return 0
}

// contextOf is all context of the app: from cdk.json and from options -c.
func contextOf(app awscdk.App) map[string]any {
	all, _ := app.Node().GetAllContext(nil).(map[string]any)
	return all
}
