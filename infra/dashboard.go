package main

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/layersmith/layersmith/statemachine"
)

// limitMegabytes is the largest unzipped size of a function with all its layers, in MiB (docs:
// "Lambda quotas", 262,144,000 bytes).
const limitMegabytes = 250

type dashboardProps struct {
	Config  Config
	Buckets buckets
	Alarms  alarms
}

type dashboard struct{ Name string }

// newDashboard makes a dashboard of the metrics of the workflow. It finds layers by search, because
// the stack does not know their names.
func newDashboard(scope constructs.Construct, p dashboardProps) dashboard {
	board := awscloudwatch.NewDashboard(scope, jsii.String("Dashboard"), &awscloudwatch.DashboardProps{
		DashboardName: jsii.String(p.Config.StackName), DefaultInterval: awscdk.Duration_Days(jsii.Number(90)),
	})

	limits := []*awscloudwatch.HorizontalAnnotation{
		{
			Label: jsii.String("Lambda's limit for a function and its layers"),
			Value: jsii.Number(limitMegabytes),
			Color: jsii.String("#d13212"),
		},
		{
			Label: jsii.String("alarm"),
			Value: jsii.Number(p.Config.PackageSizeAlarmMegabytes),
			Color: jsii.String("#ff9900"),
		},
	}

	var counters []awscloudwatch.IMetric
	for _, name := range statemachine.Outcomes() {
		counters = append(counters, ofStack(p.Config, name, "Sum"))
	}

	board.AddWidgets(awscloudwatch.NewAlarmStatusWidget(&awscloudwatch.AlarmStatusWidgetProps{
		Title: jsii.String("Alarms"), Alarms: &p.Alarms.All, Width: jsii.Number(24),
	}))
	board.AddWidgets(
		graph("Unzipped size by layer, MiB", 16, &limits, byLayer("PackageSize", "Maximum")),
		graph("Zipped size by layer, MiB", 8, nil, byLayer("ZippedSize", "Maximum")),
	)
	board.AddWidgets(
		graph("Outcomes of runs", 12, nil, counters...),
		graph("Saved by pruning, MiB", 12, nil, byLayer("BytesSaved", "Maximum")),
	)
	board.AddWidgets(
		graph("Import time by layer and target, seconds", 12, nil, search("LayerName,Target", "ImportTime", "Maximum")),
		graph("Duration of run and build, seconds", 6, nil,
			ofStack(p.Config, "RunDuration", "Maximum"), ofStack(p.Config, "BuildDuration", "Maximum")),
		graph("Age of the lock, days", 6, nil, awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
			Expression: jsii.String("seconds / 86400"), Label: jsii.String("LockAge"), Period: period(),
			UsingMetrics: &map[string]awscloudwatch.IMetric{"seconds": ofStack(p.Config, "LockAge", "Maximum")},
		})),
	)
	board.AddWidgets(
		graph("Storage, bytes", 24, nil, stored("workspace", p.Buckets.Workspace), stored("store", p.Buckets.Store)),
	)
	return dashboard{Name: *board.DashboardName()}
}

// graph is a widget; the dashboard is 24 wide.
func graph(title string, width int, limits *[]*awscloudwatch.HorizontalAnnotation,
	lines ...awscloudwatch.IMetric) awscloudwatch.GraphWidget {
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{
		Title:           jsii.String(title),
		Left:            &lines,
		LeftAnnotations: limits,
		Width:           jsii.Number(width),
		Height:          jsii.Number(6),
		LeftYAxis:       &awscloudwatch.YAxisProps{Min: jsii.Number(0), ShowUnits: jsii.Bool(false)},
	})
}

func byLayer(metric, statistic string) awscloudwatch.IMetric {
	return search("LayerName", metric, statistic)
}

// search finds all metrics with a name and exactly these dimensions.
func search(dimensions, metric, statistic string) awscloudwatch.IMetric {
	expression := fmt.Sprintf(`SEARCH('{%s,%s} MetricName="%s"', '%s', 300)`, namespace, dimensions, metric, statistic)

	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression:   jsii.String(expression),
		Label:        jsii.String(""),
		UsingMetrics: &map[string]awscloudwatch.IMetric{},
		Period:       period(),
	})
}

// stored is the size of a bucket with all versions of its objects. S3 measures it once a day.
func stored(label string, b awss3.Bucket) awscloudwatch.IMetric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace:  jsii.String("AWS/S3"),
		MetricName: jsii.String("BucketSizeBytes"),
		Statistic:  jsii.String("Maximum"),
		Period:     awscdk.Duration_Days(jsii.Number(1)),
		Label:      jsii.String(label),
		DimensionsMap: &map[string]*string{
			"BucketName":  b.BucketName(),
			"StorageType": jsii.String("StandardStorage"),
		},
	})
}
