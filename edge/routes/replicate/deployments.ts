/** `/v1/deployments…`: names of an account for models. Hardware and instances are kept, and change nothing. */
import type { Context, Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { deploymentPatch, deploymentRequest } from '#shared/schemas/replicate.ts';
import { accountOf } from '../../account-of.ts';
import type { AccountStub, DeploymentRecord } from '../../account-protocol.ts';
import type { AppEnv, Deps } from '../../app-env.ts';
import { findVersion } from '../../model-versions.ts';
import { parseRequest } from '../../parse-request.ts';
import { toIso } from '../../prediction-object.ts';
import { readJsonBody } from '../../read-body.ts';

export function listDeployments(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const { account } = await accountOf(c, deps);
    const records = await account.listDeployments();
    const results = records.map((record) => toDeployment(c, record));
    return c.json({ previous: null, next: null, results });
  };
}

export function createDeployment(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const body = await readJsonBody(c.req.raw, bodyLimits(c, deps));
    const request = parseRequest(deploymentRequest, body);
    const { account } = await accountOf(c, deps);
    if ((await account.getDeployment(request.name)) !== null) {
      throw new ServiceError('invalid_parameter', {
        param: 'name',
        detail: `name ${request.name} is taken.`,
      });
    }
    const record = chooseModel(deps, {
      name: request.name,
      model: request.model,
      version: request.version ?? '',
      number: 1,
      createdMs: deps.now(),
      configuration: {
        hardware: request.hardware ?? 'self-hosted',
        min_instances: request.min_instances ?? 0,
        max_instances: request.max_instances ?? 1,
      },
    });
    await put(account, record);
    return c.json(toDeployment(c, record), 201);
  };
}

export function getDeployment(deps: Deps): Handler<AppEnv> {
  return async (c) => c.json(toDeployment(c, await find(c, deps)));
}

/** A change is a new release. */
export function updateDeployment(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const body = await readJsonBody(c.req.raw, bodyLimits(c, deps));
    const patch = parseRequest(deploymentPatch, body);
    const known = await find(c, deps);
    const { configuration } = known;
    const record = chooseModel(deps, {
      ...known,
      version: patch.version ?? known.version,
      number: known.number + 1,
      createdMs: deps.now(),
      configuration: {
        hardware: patch.hardware ?? configuration.hardware,
        min_instances: patch.min_instances ?? configuration.min_instances,
        max_instances: patch.max_instances ?? configuration.max_instances,
      },
    });
    const { account } = await accountOf(c, deps);
    await put(account, record);
    return c.json(toDeployment(c, record));
  };
}

export function deleteDeployment(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const { name } = await find(c, deps);
    const { account } = await accountOf(c, deps);
    await account.removeDeployment(name);
    return c.body(null, 204);
  };
}

/** Fills in the version of the model, and refuses what is not served. */
function chooseModel({ config }: Deps, record: DeploymentRecord): DeploymentRecord {
  const isNamed = record.version === '' || record.version.includes('/');
  const { revision } = findVersion(config.models, isNamed ? record.model : record.version);
  return { ...record, version: revision };
}

async function put(account: AccountStub, record: DeploymentRecord): Promise<void> {
  if (await account.putDeployment(record)) return;
  throw new ServiceError('quota_exhausted', {
    detail: 'The account has too many deployments; delete one.',
  });
}

async function find(c: Context<AppEnv>, deps: Deps): Promise<DeploymentRecord> {
  const { account } = await accountOf(c, deps);
  const isOwn = c.req.param('owner') === c.var.caller.account;
  const record = isOwn ? await account.getDeployment(c.req.param('name') ?? '') : null;
  if (record !== null) return record;
  throw new ServiceError('not_found', { detail: 'There is no such deployment.' });
}

function toDeployment(c: Context<AppEnv>, record: DeploymentRecord) {
  const owner = c.var.caller.account;
  return {
    owner,
    name: record.name,
    current_release: {
      number: record.number,
      model: record.model,
      version: record.version,
      created_at: toIso(record.createdMs),
      created_by: { type: 'organization', username: owner, name: owner },
      configuration: record.configuration,
    },
  };
}

function bodyLimits(c: Context<AppEnv>, { config }: Deps) {
  return { bytesMax: c.var.route?.bodyBytesMax ?? 0, deadlineMs: config.bodyDeadlineMs };
}
