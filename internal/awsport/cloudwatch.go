package awsport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

type alarmsAPI interface {
	DescribeAlarms(
		context.Context,
		*cloudwatch.DescribeAlarmsInput,
		...func(*cloudwatch.Options),
	) (*cloudwatch.DescribeAlarmsOutput, error)
}

// Alarms reads alarms of CloudWatch.
type Alarms struct{ Client alarmsAPI }

var _ workflow.Alarms = Alarms{}.Get

// Get returns an alarm. Without AlarmTypes, CloudWatch would return metric alarms only.
func (a Alarms) Get(ctx context.Context, name string) (workflow.Alarm, error) {
	const op = "read alarm"
	out, err := a.Client.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{
		AlarmNames: []string{name},
		AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm},
	})
	if err != nil {
		return workflow.Alarm{}, classify(op, name, err)
	}

	for _, m := range out.MetricAlarms {
		if aws.ToString(m.AlarmName) == name {
			return workflow.Alarm{
				State:  workflow.AlarmState(m.StateValue),
				Reason: aws.ToString(m.StateReason),
				Since:  since(m.StateTransitionedTimestamp, m.StateUpdatedTimestamp),
			}, nil
		}
	}

	for _, c := range out.CompositeAlarms {
		if aws.ToString(c.AlarmName) == name {
			return workflow.Alarm{
				State:  workflow.AlarmState(c.StateValue),
				Reason: aws.ToString(c.StateReason),
				Since:  since(c.StateTransitionedTimestamp, c.StateUpdatedTimestamp),
			}, nil
		}
	}

	return workflow.Alarm{}, fault.New(fault.NotFound, op, name,
		errors.New("no such alarm in this account and region")).
		WithHint("correct the alarm's name in consumers.yaml")
}

// since returns when the state began. updated is only a fallback: it also changes with the reason.
func since(transitioned, updated *time.Time) time.Time {
	if transitioned != nil {
		return *transitioned
	}

	return aws.ToTime(updated)
}

// MetricsNamespace is the namespace of all metrics. The role of the report function may write only
// to this one.
const MetricsNamespace = "Lambda/Optimization"

// maxValues is the limit of values in a request (API: PutMetricData).
const maxValues = 1000

type metricsAPI interface {
	PutMetricData(
		context.Context,
		*cloudwatch.PutMetricDataInput,
		...func(*cloudwatch.Options),
	) (*cloudwatch.PutMetricDataOutput, error)
}

// Metrics stores values in CloudWatch.
type Metrics struct{ Client metricsAPI }

var _ workflow.Metrics = Metrics{}.Put

// Put stores the values, 1000 in a request. After a failed request it sends the others, so that as
// few values as possible are lost, and then returns the first fault. A retry stores some values
// twice, which changes their sample count, but not their maximum, minimum or average.
func (m Metrics) Put(ctx context.Context, at time.Time, values []workflow.Metric) error {
	var first error
	failed := 0
	for batch := range slices.Chunk(values, maxValues) {
		in := &cloudwatch.PutMetricDataInput{Namespace: aws.String(MetricsNamespace)}
		for _, v := range batch {
			in.MetricData = append(in.MetricData, datumOf(at, v))
		}

		if _, err := m.Client.PutMetricData(ctx, in); err != nil {
			failed += len(batch)
			if first == nil {
				first = err
			}
		}
	}

	if first == nil {
		return nil
	}

	return classify("store", fmt.Sprintf("%d of %d metric values in %s", failed, len(values), MetricsNamespace), first)
}

func datumOf(at time.Time, v workflow.Metric) types.MetricDatum {
	datum := types.MetricDatum{
		MetricName: aws.String(v.Name),
		Unit:       types.StandardUnit(v.Unit),
		Value:      aws.Float64(v.Value),
		Timestamp:  aws.Time(at),
	}
	for _, d := range v.Dimensions {
		datum.Dimensions = append(datum.Dimensions,
			types.Dimension{Name: aws.String(d.Name), Value: aws.String(d.Value)})
	}

	return datum
}
