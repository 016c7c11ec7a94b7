// Reads the collector's configuration out of the task definition, and checks that its parts fit together.
import { parse } from 'yaml';

/** The configuration in the environment of the collector's container. */
export function collectorOf(templates, problems) {
  const variables = templates.flatMap(template => Object.values(template.Resources ?? {}))
    .filter(resource => resource.Type === 'AWS::ECS::TaskDefinition')
    .flatMap(task => task.Properties.ContainerDefinitions)
    .flatMap(container => container.Environment ?? []);
  const text = variables.find(variable => variable.Name === 'AOT_CONFIG_CONTENT')?.Value?.['Fn::Sub'];
  if (!text) {
    problems.push('collector: there is no AOT_CONFIG_CONTENT');
    return {};
  }

  try {
    return parse(text.replaceAll(/\$\{([^}]+)\}/g, '$1'));
  } catch (exception) {
    problems.push(`collector: ${exception.message.split('\n')[0]}`);
    return {};
  }
}

/** What the pipelines name must be there, and what is there must be named. */
export function checkCollector(settings, problems) {
  const pipelines = Object.entries(settings.service?.pipelines ?? {});
  for (const kind of ['receivers', 'processors', 'exporters']) {
    for (const [name, pipeline] of pipelines) for (const part of pipeline[kind] ?? []) if (!(part in (settings[kind] ?? {}))) problems.push(`collector: ${name} names '${part}', which is none of its ${kind}`);
    for (const part of Object.keys(settings[kind] ?? {})) if (!pipelines.some(([, pipeline]) => (pipeline[kind] ?? []).includes(part))) problems.push(`collector: no pipeline names '${part}'`);
  }
}
