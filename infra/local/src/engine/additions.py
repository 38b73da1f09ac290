"""What the template needs and the engine lacks, added to the engine as it starts.

`ADDITIONS` names each by the type of resource it is for; its doc string says what it bridges, and `deploy.py` shows it
to the reader of a deployment that has such a resource. The additions wrap the engine's own functions, for the
pinned version. Other resources are handled as before.
"""

import base64
import contextvars
import json
import logging
import os
import re
import threading
import time

logger = logging.getLogger("additions")

# Held while a Pipe delivers, and while the engine reads or writes its data: what is written never holds a position
# without the deliveries before it, and nothing goes to a bus whose rules are not read yet.
DELIVERY = threading.RLock()

# In one process a failure seldom passes by itself, so fewer tries than a Pipe asks for will do.
TRIES_MAX = 5
PAUSE_S = 0.05

# What a ciphertext ends with that is of a later material than its key's first, and which one.
MATERIAL = re.compile(rb"material(.)\Z", re.DOTALL)

# How often KMS lets a key be rotated on demand.
ROTATIONS_MAX = 25


class NotDelivered(Exception):
    """A record that could not become an event, or an event that the bus did not accept."""


def add_all():
    for _, addition in ADDITIONS:
        addition()


# --- Pipes from a table's stream to a bus --------------------------------------------------------------------------


def pipes_to_event_buses():
    """Pipes: the engine brings stream records to SNS and Step Functions only, and forgets a Pipe's filters, input
    template and dead-letter queue; so this keeps them, and sends what passes the filters to a bus."""
    from ministack.services import pipes

    poll = pipes._poll_pipe

    def poll_pipe(dynamodb, pipe, account_id):
        with DELIVERY:
            if leads_to_a_bus(pipe):
                deliver_what_is_new(dynamodb, pipe, account_id)
            else:
                poll(dynamodb, pipe, account_id)

    pipes._poll_pipe = poll_pipe
    when_cloudformation_is_loaded(keep_parameters_of_pipes)


def keep_parameters_of_pipes(provisioners):
    from ministack.services import pipes

    handlers = provisioners._RESOURCE_HANDLERS["AWS::Pipes::Pipe"]
    create, update = handlers["create"], handlers["update"]

    def keep(name, properties):
        pipe = pipes._pipes[name]
        for part in ("SourceParameters", "TargetParameters"):
            pipe[part] = properties.get(part) or {}

    # Under the lock: between being made and having its filters a Pipe would let everything through.
    def create_pipe(logical_id, properties, stack):
        check(properties)
        with DELIVERY:
            name, attributes = create(logical_id, properties, stack)
            keep(name, properties)
        return name, attributes

    def update_pipe(name, old, new, stack, logical_id=None):
        check(new)
        with DELIVERY:
            name, attributes = update(name, old, new, stack, logical_id)
            keep(name, new)
        return name, attributes

    handlers["create"], handlers["update"] = create_pipe, update_pipe


def check(properties):
    """A filter or template that cannot be read here fails the deployment, not the first record."""
    for pattern in patterns(properties.get("SourceParameters") or {}):
        json.loads(pattern)
    template = (properties.get("TargetParameters") or {}).get("InputTemplate") or "{}"
    filled = PLACEHOLDER.sub('"a text"', template)
    if "<$" in filled or "<aws." in filled:
        raise ValueError(f"of an input template only paths that stand for whole values are known here: {template}")
    json.loads(filled)


def leads_to_a_bus(pipe):
    target = pipe.get("Target", "")
    return "TargetParameters" in pipe and target.startswith("arn:") and ":event-bus/" in target


def deliver_what_is_new(dynamodb, pipe, account_id):
    """Brings the records after the Pipe's position to its bus, one by one, and moves the position past each."""
    from ministack.services import pipes

    source = pipes._dynamodb_stream_source(pipe.get("Source", ""))
    if pipe.get("CurrentState") != "RUNNING" or source is None or source[0].account_id != account_id:
        return
    stream, table = source
    scope = {"account_id": account_id, "region": stream.region}
    position = max(int(pipes._positions.get(pipe["Arn"], 0)), dynamodb.stream_start_position(table, **scope))
    count = dynamodb.stream_end_position(table, **scope) - position
    for record in dynamodb.stream_records_since(table, position, max(count, 0), **scope):
        if is_let_through(record, pipe["SourceParameters"]):
            deliver(pipe, record)
        position += 1
        pipes._positions[pipe["Arn"]] = position


def is_let_through(record, source_parameters):
    """Whether one of the filters matches; their language is that of Lambda's event sources, which the engine has."""
    from ministack.services import lambda_svc

    wanted = [json.loads(pattern) for pattern in patterns(source_parameters)]
    return not wanted or any(lambda_svc._match_esm_filter(record, pattern) for pattern in wanted)


def patterns(source_parameters):
    return [each["Pattern"] for each in (source_parameters.get("FilterCriteria") or {}).get("Filters") or []]


def deliver(pipe, record):
    stream = pipe["SourceParameters"].get("DynamoDBStreamParameters") or {}
    age_max_s = int(stream.get("MaximumRecordAgeInSeconds", -1))
    if 0 <= age_max_s < time.time() - record["dynamodb"]["ApproximateCreationDateTime"]:
        give_up(pipe, record, "MaximumRecordAgeExceeded", 0)
        return
    retries = int(stream.get("MaximumRetryAttempts", -1))
    tries = TRIES_MAX if retries < 0 else min(retries + 1, TRIES_MAX)
    for tried in range(1, tries + 1):
        try:
            put(pipe, record)
            return
        except Exception as error:  # whatever it is, the records after this one are still to be brought
            logger.error("Pipe %s: try %d of a record failed: %r", pipe["Name"], tried, error)
            if tried < tries:
                time.sleep(PAUSE_S)
    give_up(pipe, record, "RetryAttemptsExhausted", tries)


def put(pipe, record):
    from ministack.services import eventbridge

    parameters = pipe["TargetParameters"]
    template = parameters.get("InputTemplate")
    named = parameters.get("EventBridgeEventBusParameters") or {}
    event = {
        "EventBusName": pipe["Target"],
        "Source": named.get("Source", f"Pipe {pipe['Name']}"),
        "DetailType": named.get("DetailType", "Event from aws:dynamodb"),
        "Detail": fill(template, record) if template else json.dumps(record),
    }
    status, _headers, body = eventbridge._put_events({"Entries": [event]})
    answer = json.loads(body)
    if status >= 400 or answer.get("FailedEntryCount"):
        raise NotDelivered(f"the bus answered {status}: {answer}")


PLACEHOLDER = re.compile(r'"<\$\.([\w.-]+)>"|<\$\.([\w.-]+)>')


def fill(template, record):
    """The template with the record's values, as JSON. One in quotes becomes a text, and where there is none, an empty
    text."""

    def value(match):
        quoted, bare = match.groups()
        found = at(record, quoted or bare)
        if quoted:
            found = "" if found is None else found if isinstance(found, str) else json.dumps(found)
        return json.dumps(found, ensure_ascii=False)

    filled = PLACEHOLDER.sub(value, template)
    try:
        return json.dumps(json.loads(filled), ensure_ascii=False)
    except ValueError as error:
        raise NotDelivered(f"the input template gives no JSON: {error}") from error


def at(record, path):
    for step in path.split("."):
        record = record.get(step) if isinstance(record, dict) else None
    return record


def give_up(pipe, record, condition, tries):
    """Sends the record's position to the dead-letter queue, as a Pipe does, and not its content."""
    from ministack.core.arn import parse_arn
    from ministack.services import eventbridge

    stream = pipe["SourceParameters"].get("DynamoDBStreamParameters") or {}
    queue = (stream.get("DeadLetterConfig") or {}).get("Arn")
    logger.error("Pipe %s: a record was given up (%s)", pipe["Name"], condition)
    if not queue:
        return
    number = record["dynamodb"]["SequenceNumber"]
    letter = {
        "context": {"partnerResourceArn": pipe["Arn"], "condition": condition, "approximateInvokeCount": tries},
        "version": "1.0",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "DDBStreamBatchInfo": {
            "startSequenceNumber": number,
            "endSequenceNumber": number,
            "batchSize": 1,
            "streamArn": pipe["Source"],
        },
    }
    eventbridge._dispatch_to_sqs(parse_arn(queue), json.dumps(letter))


# --- Streams over a restart ----------------------------------------------------------------------------------------


def streams_over_a_restart():
    """Streams: when it stops the engine keeps a Pipe's position but not the stream that it is a position in, and would
    leave out as many changes as there were before; so it keeps the streams too."""
    from ministack import app as server
    from ministack.services import dynamodb

    state, restore = dynamodb.get_state, dynamodb.load_persisted_state
    kept = {"stream_records": "_stream_records", "stream_trimmed": "_stream_trimmed"}

    def get_state():
        return state() | {name: getattr(dynamodb, store) for name, store in kept.items()}

    def load_persisted_state(data):
        restore(data)
        for name, store in kept.items():
            getattr(dynamodb, store).update(data.get(name, {}))

    def without_deliveries(function):
        def guarded(*arguments):
            with DELIVERY:
                return function(*arguments)

        return guarded

    dynamodb.get_state, dynamodb.load_persisted_state = get_state, load_persisted_state
    server.save_all = without_deliveries(server.save_all)
    server._load_persisted_state = without_deliveries(server._load_persisted_state)


# --- Archives ------------------------------------------------------------------------------------------------------


def archives_by_cloudformation():
    """Archives: the engine has them but its CloudFormation does not know their type, so it is added there."""
    when_cloudformation_is_loaded(know_archives)


def know_archives(provisioners):
    from ministack.services import eventbridge

    def request(name, properties):
        pattern = properties.get("EventPattern") or ""
        return {
            "ArchiveName": name,
            "EventSourceArn": properties["SourceArn"],
            "Description": properties.get("Description", ""),
            "EventPattern": pattern if isinstance(pattern, str) else json.dumps(pattern),
            "RetentionDays": int(properties.get("RetentionDays") or 0),
        }

    def answer(name, response):
        status, _headers, body = response
        if status >= 400:
            raise ValueError(f"AWS::Events::Archive {name}: {body!r}")
        return name, {"Arn": json.loads(body)["ArchiveArn"], "ArchiveName": name}

    def create(logical_id, properties, stack):
        name = properties.get("ArchiveName") or provisioners._physical_name(stack, logical_id, max_len=48)
        return answer(name, eventbridge._create_archive(request(name, properties)))

    def update(name, _old, new, _stack):
        return answer(name, eventbridge._update_archive(request(name, new)))

    def delete(name, _properties):
        eventbridge._delete_archive({"ArchiveName": name})

    handlers = {"create": create, "update": update, "delete": delete}
    provisioners._RESOURCE_HANDLERS.setdefault("AWS::Events::Archive", handlers)


# --- Alarms --------------------------------------------------------------------------------------------------------


def alarms_over_expressions_by_cloudformation():
    """Alarms over metric math: the engine's CloudFormation fails on them, so they are stored there like others. The engine makes
    no metrics of log lines and never evaluates these; the page `/alarms` does."""
    when_cloudformation_is_loaded(know_alarms_over_expressions)


def know_alarms_over_expressions(provisioners):
    record = provisioners._cw_metric_alarm_record

    def record_of_any(name, properties):
        if not properties.get("Metrics"):
            return record(name, properties)
        # A metric that nobody puts: the engine finds no point of it.
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        return record(name, plain | {"Namespace": "local/over-expressions", "MetricName": name})

    provisioners._cw_metric_alarm_record = record_of_any


def composite_alarms_by_cloudformation():
    """Composite alarms: the engine has them but its CloudFormation does not know their type, so it is added there. What suppresses
    their actions is left out, which the page `/alarms` shows."""
    when_cloudformation_is_loaded(know_composite_alarms)


def know_composite_alarms(provisioners):
    from ministack.services import cloudwatch

    known = ("AlarmName", "AlarmRule", "AlarmDescription", "AlarmActions", "OKActions")

    def put(name, properties):
        request = {key: properties[key] for key in known if key in properties}
        status, _headers, body = cloudwatch._put_composite_alarm({}, request, False, is_json=True)
        if status >= 400:
            raise ValueError(f"AWS::CloudWatch::CompositeAlarm {name}: {body!r}")
        return name, {"Arn": cloudwatch._composite_alarms[name]["AlarmArn"]}

    def create(_logical_id, properties, _stack):
        return put(properties["AlarmName"], properties)

    def update(name, _old, new, _stack):
        return put(name, new)

    def delete(name, _properties):
        cloudwatch._composite_alarms.pop(name, None)

    handlers = {"create": create, "update": update, "delete": delete}
    provisioners._RESOURCE_HANDLERS.setdefault("AWS::CloudWatch::CompositeAlarm", handlers)


# --- Imported private keys -----------------------------------------------------------------------------------------


def imported_private_keys_for_good():
    """Imported keys: the engine takes a private key in place of another and lets one be wrapped by RSA alone, which KMS
    does not; so it is taught to refuse both."""
    from ministack.services import kms

    parameters, store = kms._get_parameters_for_import, kms._store_imported_material

    def get_parameters_for_import(request):
        key = kms._resolve_key(request.get("KeyId", ""))
        algorithm = request.get("WrappingAlgorithm", "")
        if key and key["KeySpec"].startswith("RSA_") and not algorithm.startswith("RSA_AES_KEY_WRAP_"):
            return kms.error_response_json(
                "UnsupportedOperationException", f"{algorithm} does not wrap the material of an RSA key.", 400
            )
        return parameters(request)

    def store_imported_material(key, material):
        imported = dict(key)
        refused = store(imported, material) or other_than_the_first(kms, key, imported)
        if not refused:
            key.update(imported)
        return refused

    kms._get_parameters_for_import, kms._store_imported_material = get_parameters_for_import, store_imported_material


def other_than_the_first(kms, key, imported):
    """Refuses another private key than the first, also after that was deleted. Its public half is kept as text, so that
    the engine writes it with its data."""
    public_key = imported.get("_public_key_der")
    if public_key is None:
        return None
    first = imported["_first_imported"] = key.get("_first_imported", public_key.hex())
    if first == public_key.hex():
        return None
    return kms.error_response_json(
        "IncorrectKeyMaterialException", "The key material is not the one that was imported before.", 400
    )


def keys_rotated_on_demand():
    """KMS rotation: the engine keeps one material for each key; so a symmetric key can be given another here
    (RotateKeyOnDemand), under which it encrypts, while each ciphertext decrypts under its own. Replicas are not rotated with it."""
    from ministack.services import kms

    derive, decrypt, handle = kms._derive_with_context, kms._decrypt, kms.handle_request
    of_ciphertext = contextvars.ContextVar("material", default=None)

    def derive_with_context(material, context, nonce):
        return derive(of_ciphertext.get() or material, context, nonce)

    def decrypt_by_its_material(request):
        sealed = base64.b64decode(request.get("CiphertextBlob", ""))
        mark = MATERIAL.search(sealed)
        if mark:
            sealed = sealed[: mark.start()]
            request = request | {"CiphertextBlob": base64.b64encode(sealed).decode()}
        key = kms._resolve_key(request.get("KeyId") or sealed[:36].decode("utf-8", errors="ignore"))
        older = (key or {}).get("_older_materials", [])
        number = mark.group(1)[0] if mark else 0
        material = base64.b64decode(older[number]) if number < len(older) else None
        token = of_ciphertext.set(material)
        try:
            return decrypt(request)
        finally:
            of_ciphertext.reset(token)

    def marked(operation):
        def call(request):
            status, headers, body = operation(request)
            older = (kms._resolve_key(request.get("KeyId", "")) or {}).get("_older_materials", [])
            if status != 200 or not older:
                return status, headers, body
            answer = json.loads(body)
            sealed = base64.b64decode(answer["CiphertextBlob"]) + b"material" + bytes([len(older)])
            answer["CiphertextBlob"] = base64.b64encode(sealed).decode()
            return kms.json_response(answer)

        return call

    def rotate(request):
        key = kms._resolve_key(request.get("KeyId", ""))
        if key is None:
            return kms.error_response_json("NotFoundException", f"Key {request.get('KeyId')} not found", 400)
        older = key.get("_older_materials", [])
        if "_symmetric_key" not in key or key["Origin"] != "AWS_KMS":
            return kms.error_response_json("UnsupportedOperationException", "KMS does not rotate this key.", 400)
        if len(older) == ROTATIONS_MAX:
            return kms.error_response_json("LimitExceededException", "The key was rotated too often.", 400)
        key["_older_materials"] = [*older, base64.b64encode(key["_symmetric_key"]).decode()]
        key["_symmetric_key"] = os.urandom(32)
        return kms.json_response({"KeyId": key["Arn"]})

    async def handle_request(method, path, headers, body, query):
        if headers.get("x-amz-target", "").endswith(".RotateKeyOnDemand"):
            return rotate(json.loads(body))
        return await handle(method, path, headers, body, query)

    kms._derive_with_context, kms._decrypt, kms.handle_request = derive_with_context, decrypt_by_its_material, handle_request
    for name in ("_encrypt", "_generate_data_key", "_generate_data_key_without_plaintext"):
        setattr(kms, name, marked(getattr(kms, name)))


def simulations_by_context():
    """IAM's simulator: the engine leaves out what it is told of a request (ContextEntries), and goes by none of it; so a
    permission that depends on a request's keys can be simulated here."""
    from ministack.core import iam_evaluator
    from ministack.services import iam

    simulate, evaluate = iam._simulate_principal_policy, iam_evaluator.evaluate
    of_simulation = contextvars.ContextVar("context entries", default=None)

    def simulate_with_context(parameters):
        token = of_simulation.set(context_entries(lambda name: iam._p(parameters, name)))
        try:
            return simulate(parameters)
        finally:
            of_simulation.reset(token)

    def evaluate_with_context(context, *policies, **options):
        context.service_context.update(of_simulation.get() or {})
        return evaluate(context, *policies, **options)

    iam._IAM_HANDLERS["SimulatePrincipalPolicy"], iam_evaluator.evaluate = simulate_with_context, evaluate_with_context


def context_entries(parameter):
    """What a simulation is told, by the keys of conditions, which are of no case."""
    entries, number = {}, 1
    while key := parameter(f"ContextEntries.member.{number}.ContextKeyName"):
        prefix = f"ContextEntries.member.{number}.ContextKeyValues.member."
        values = []
        while value := parameter(f"{prefix}{len(values) + 1}"):
            values.append(value)
        is_list = parameter(f"ContextEntries.member.{number}.ContextKeyType").endswith("List")
        entries[key.lower()] = values if is_list else "".join(values[:1])
        number += 1
    return entries


# --- Lines that log groups hand on ----------------------------------------------------------------------------------


def subscriptions_by_their_patterns():
    """Subscription filters: the engine looks for each word of a pattern in a line, so a pattern for JSON lets nothing through; here it
    is read as CloudWatch reads it. The engine calls the function once: it has no repeats and no dead-letter queue for that, and writes
    no lines of the platform (platform.report) that would tell of a time-out."""
    from ministack.services import cloudwatch_logs

    by_words = cloudwatch_logs._subscription_pattern_matches

    def matches(pattern, message):
        is_for_json = (pattern or "").strip().startswith("{")
        return line_matches(pattern, message) if is_for_json else by_words(pattern, message)

    cloudwatch_logs._subscription_pattern_matches = matches


LINE_PATTERN = re.compile(r'\s*(?:(?P<mark>\(|\)|&&|\|\||!=|=|NOT EXISTS)|\$\.(?P<names>[\w.-]+)|"(?P<text>[^"\\]*)")')


def line_matches(pattern, message):
    """Whether a pattern such as `{ ($.a = "x*") && ($.b.c = "y" || $.d NOT EXISTS) }` matches a line of JSON. `&&` binds tighter."""
    try:
        line = json.loads(message)
    except ValueError:
        return False
    inside, tokens, at = pattern.strip()[1:-1].rstrip(), [], 0
    while at < len(inside):
        found = LINE_PATTERN.match(inside, at)
        if not found:
            raise ValueError(f"a pattern that is not read here: {pattern}")
        tokens.append(next((kind, text) for kind, text in found.groupdict().items() if text is not None))
        at = found.end()
    tokens.reverse()
    matches = any_part(tokens, line)
    if tokens:
        raise ValueError(f"a pattern that is not read here: {pattern}")
    return matches


def any_part(tokens, line):
    found = all_parts(tokens, line)
    while goes_on(tokens, "||"):
        found = all_parts(tokens, line) or found
    return found


def all_parts(tokens, line):
    found = one_part(tokens, line)
    while goes_on(tokens, "&&"):
        found = one_part(tokens, line) and found
    return found


def goes_on(tokens, mark):
    return bool(tokens) and tokens[-1] == ("mark", mark) and tokens.pop() is not None


def one_part(tokens, line):
    if goes_on(tokens, "("):
        found = any_part(tokens, line)
        if not goes_on(tokens, ")"):
            raise ValueError("a parenthesis that is not closed")
        return found
    _, names = tokens.pop()
    value = line
    for name in names.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if goes_on(tokens, "NOT EXISTS"):
        return value is None
    _, mark = tokens.pop()
    _, text = tokens.pop()
    fits = re.fullmatch(".*".join(map(re.escape, text.split("*"))), value, re.DOTALL) if isinstance(value, str) else None
    return fits is not None if mark == "=" else isinstance(value, str) and fits is None


# --- The engine's CloudFormation -----------------------------------------------------------------------------------


def when_cloudformation_is_loaded(change):
    """Changes it as soon as the engine has use for it: it takes as long to load as all the rest of the engine."""
    from ministack import app as server

    load, waiting = server._get_module, [change]

    def get_module(name):
        module = load(name)
        if name == "cloudformation" and waiting:
            from ministack.services.cloudformation import provisioners

            waiting.pop()(provisioners)
        return module

    server._get_module = get_module


# By the type of resource that needs it.
ADDITIONS = [
    ("AWS::Pipes::Pipe", pipes_to_event_buses),
    ("AWS::Pipes::Pipe", streams_over_a_restart),
    ("AWS::Events::Archive", archives_by_cloudformation),
    ("AWS::CloudWatch::CompositeAlarm", alarms_over_expressions_by_cloudformation),
    ("AWS::CloudWatch::CompositeAlarm", composite_alarms_by_cloudformation),
    ("AWS::KMS::Key", imported_private_keys_for_good),
    ("AWS::KMS::Key", keys_rotated_on_demand),
    ("AWS::IAM::Role", simulations_by_context),
    ("AWS::Logs::SubscriptionFilter", subscriptions_by_their_patterns),
]
