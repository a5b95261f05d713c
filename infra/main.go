// Command infra is the app that the CDK synthesizes: the context of cdk.json becomes a Config, the
// Config becomes one stack. Folders that cdk.json names are relative to the folder that holds it.
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

// synth writes the cloud assembly to where the CDK's command line wants it, and returns the exit
// code.
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

// contextOf is all context of the app: cdk.json and what was given with -c.
func contextOf(app awscdk.App) map[string]any {
	all, _ := app.Node().GetAllContext(nil).(map[string]any)
	return all
}
