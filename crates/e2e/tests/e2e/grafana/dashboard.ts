import type * as s from '@grafana/schema';
import type { Options as TsO, FieldConfig as TsF } from './node_modules/@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type { Options as StatO } from './node_modules/@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as TableO, FieldConfig as TableF } from './node_modules/@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';

/** A query of the Prometheus data source: Grafana's DataQuery and the fields of the Prometheus plugin that are used here. */
interface PrometheusQuery extends s.DataQuery { datasource: s.DataSourceRef; expr: string; legendFormat?: string; instant?: boolean; range?: boolean; format?: 'time_series' | 'table'; editorMode?: 'code' | 'builder'; }
interface Field<F> extends Omit<s.FieldConfigSource, 'defaults'> { defaults: Omit<s.FieldConfig, 'custom'> & { custom?: F }; }
interface Base<T extends string, O, F> extends Omit<s.Panel, 'type' | 'options' | 'targets' | 'fieldConfig'> { type: T; options: O; targets: PrometheusQuery[]; fieldConfig: Field<F>; }
type TimeSeries = Base<'timeseries', TsO, TsF>;
type Stat = Base<'stat', StatO, Record<string, never>>;
type Table = Base<'table', TableO, TableF>;
/** A query of Grafana's own annotations, or of the Prometheus data source with the fields that its annotation support reads. */
interface Annotation extends Omit<s.AnnotationQuery, 'target'> { target?: (s.DataQuery & { limit: number; matchAny: boolean; tags: string[]; type: string }) | (s.DataQuery & { expr: string; interval: string }); expr?: string; step?: string; titleFormat?: string; textFormat?: string; tagKeys?: string; useValueForTime?: boolean; }
export interface AssayDashboard extends Omit<s.Dashboard, 'panels' | 'annotations'> { annotations: { list: Annotation[] }; panels: (TimeSeries | Stat | Table)[]; }
