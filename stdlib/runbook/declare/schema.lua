--- The words of a runbook as data: every word, every field, its kind, its
-- default and one sentence. Validation, did-you-mean, `tranship explain WORD`,
-- completion and the reference all come from here; a new field is one line.

local M = {}

--- Fields that ask for a yes: of steps and of the point of no return.
local APPROVE = {
  name = "approve", kind = "table", phase = "run",
  desc = "a question a person must answer; `{ \"Go?\", within = \"2h\" }`",
  fields = {
    { name = "question", position = 1, kind = "text", required = true,
      desc = "what is asked" },
    { name = "within", kind = "duration", desc = "the question expires" },
    { name = "by", kind = "count", desc = "how many people",
      unbuilt = "counting people needs signatures; leave it out" },
    { name = "from", kind = "text", desc = "which group of people",
      unbuilt = "groups of people need signatures; leave it out" },
  },
}

local NEEDS = {
  name = "needs", kind = "steps", phase = "run",
  desc = "steps that must be done and fresh; default: the one above",
}
local NOTE = {
  name = "note", kind = "text", phase = "run", desc = "shown to the operator",
}
local TAGS = {
  name = "tags", kind = "list", phase = "declare",
  desc = "labels for --only and --skip",
}
local TIMEOUT = {
  name = "timeout", kind = "duration", default = "30m", phase = "run",
  desc = "limit for the whole step, waits for approval left out",
}
local VERIFY = {
  name = "verify", kind = "questions", phase = "run",
  desc = "what must really be so afterwards; all of them",
}

--- A MirrorMaker 2 flow, as its own configuration describes it.
local MIRRORMAKER2 = {
  { name = "source", kind = "text", phase = "declare",
    desc = "MirrorMaker's alias of `from`; the cluster's name if left out" },
  { name = "target", kind = "text", phase = "declare",
    desc = "MirrorMaker's alias of `to`; the cluster's name if left out" },
  { name = "policy", kind = "choice", default = "default", phase = "declare",
    values = { "default", "identity" }, desc = "its replication policy" },
  { name = "separator", kind = "text", default = ".", phase = "declare",
    desc = "its replication.policy.separator" },
  { name = "internal_separator", kind = "flag", default = true,
    phase = "declare",
    desc = "its replication.policy.internal.topic.separator.enabled" },
  { name = "offset_syncs", kind = "choice", default = "source",
    values = { "source", "target" }, phase = "declare",
    desc = "its offset-syncs.topic.location" },
  { name = "connector", kind = "text", phase = "declare",
    desc = "in a shared Connect cluster: the source connector's name" },
  { name = "offsets_topic", kind = "text", phase = "declare",
    desc = "in a shared Connect cluster: its offset.storage.topic" },
  { name = "group", kind = "text", phase = "declare",
    desc = "in a shared Connect cluster: its group.id" },
  { name = "take_over", kind = "flag", default = false, phase = "run",
    desc = "begin where MirrorMaker, which must be stopped, ended" },
  { name = "checkpoints", kind = "flag", default = false, phase = "run",
    desc = "write exact checkpoints and syncs for MirrorMaker's clients" },
}

M.words = {
  runbook = {
    desc = "names the runbook; stands once, first",
    fields = {
      { name = "version", kind = "text", phase = "declare",
        desc = "the runbook's own version" },
      { name = "owner", kind = "text", phase = "declare",
        desc = "whom to ask" },
      { name = "order", kind = "choice", phase = "declare",
        values = { "readers before writers", "as written" },
        default = "as written",
        desc = "checks the order of moves from reads and writes" },
      { name = "window", kind = "any", phase = "run",
        desc = "when changes are allowed",
        unbuilt = "start the run when its time has come" },
    },
  },
  params = {
    desc = "what is given from outside: `name = a.type { ... }`",
  },
  kubernetes = {
    desc = "a Kubernetes cluster, as kubectl would reach it",
    fields = {
      { name = "kubeconfig", kind = "text", phase = "run",
        desc = "path of its kubeconfig; default: KUBECONFIG, ~/.kube/config, "
          .. "then the pod's own account" },
      { name = "context", kind = "text", phase = "run",
        desc = "context in the kubeconfig; default: the current one" },
      { name = "namespace", kind = "text", phase = "run",
        desc = "where the objects are; default: the context's" },
      { name = "calls_at_once", kind = "count", min = 1, default = 8,
        phase = "run", desc = "bounds the load on the API server" },
    },
  },
  cluster = {
    desc = "a Kafka cluster",
    fields = {
      { name = "bootstrap", kind = "text", phase = "declare",
        desc = "addresses: \"host:9092,host2:9092\"" },
      { name = "strimzi", kind = "text", phase = "run",
        desc = "name of its Kafka resource, which says addresses, certificates "
          .. "and credentials instead; it is on the Kubernetes `on`" },
      { name = "listener", kind = "text", phase = "run",
        desc = "listener of the resource; default: the only one to outside" },
      { name = "user", kind = "text", phase = "run",
        desc = "the KafkaUser whose Secret is logged in with" },
      { name = "login", kind = "login", phase = "run",
        desc = "scram, plain, certificate or token" },
      { name = "ca", kind = "any", phase = "run",
        desc = "PEM text of the authorities that signed the brokers' "
          .. "certificates, or a secret parameter" },
      { name = "tls", kind = "flag", phase = "run",
        desc = "talk TLS; default: yes with ca or certificate" },
      { name = "id", kind = "text", phase = "check",
        desc = "refused if a cluster of another id answers" },
      { name = "never", kind = "list", phase = "run",
        desc = "effects refused whatever a script says" },
      { name = "settings", kind = "table", phase = "run",
        desc = "librdkafka settings from the allow-list" },
      { name = "calls_at_once", kind = "count", min = 1, default = 8,
        phase = "run", desc = "bounds the load on the cluster" },
      { name = "on", kind = "kubernetes", phase = "run",
        desc = "the Kubernetes where it is, and its workloads are Deployments" },
    },
  },
  workload = {
    desc = "an application that reads or writes topics",
    fields = {
      { name = "group", kind = "list", phase = "declare",
        desc = "its consumer groups: a name or a list" },
      { name = "reads", kind = "list", of = "pattern", phase = "declare",
        desc = "topics it reads, as the source names them" },
      { name = "writes", kind = "list", of = "pattern", phase = "declare",
        desc = "topics it writes, as the source names them" },
      { name = "process", kind = "any", phase = "run",
        desc = "a command started and watched on this machine" },
      { name = "hook", kind = "any", phase = "run",
        desc = "commands of your own: { start, stop, status }" },
      { name = "deployment", kind = "any", phase = "run",
        desc = "a Deployment or StatefulSet of the Kubernetes its cluster is on: "
          .. "a name, or { \"name\", kind = \"StatefulSet\", size = 3 }; default "
          .. "where the clusters say `on`: the Deployment of its own name" },
      { name = "unit", kind = "text", desc = "a systemd unit",
        unbuilt = "use process or hook" },
      { name = "application_id", kind = "text", desc = "of Kafka Streams",
        unbuilt = "name its group, reads and writes" },
    },
  },
  bridge = {
    desc = "joins two clusters with exactly one writing side per topic",
    fields = {
      { name = "from", kind = "cluster", required = true, phase = "declare",
        desc = "the side that is written at the beginning" },
      { name = "to", kind = "cluster", required = true, phase = "declare",
        desc = "the other side" },
      { name = "topics", kind = "list", of = "pattern", required = true,
        phase = "declare", desc = "names and patterns that it carries" },
      { name = "except", kind = "list", of = "pattern", phase = "declare",
        desc = "names and patterns that it leaves out; of a bridge that is open, what is "
          .. "no longer counted, compared, or waited for to close it" },
      { name = "names", kind = "any", default = "same", phase = "declare",
        desc = "\"same\", { prefix = \"blue.\" } or a map of names" },
      { name = "offsets", kind = "choice", default = "auto",
        values = { "same", "mapped", "auto" }, phase = "run",
        desc = "whether target offsets equal source offsets",
        means = {
          same = "each record at its source's offset, transactions kept as such: "
            .. "they land one after the other, in some three round trips each; "
            .. "a partition that cannot be so stops",
          mapped = "each at the target's next offset, committed records only; "
            .. "the map says which is which",
          auto = "same where the target is empty and gaps can be filled, else "
            .. "mapped; the plan says which and why",
        } },
      { name = "configs", kind = "choice", default = "created",
        values = { "created", "followed" }, phase = "run",
        desc = "settings of topics: copied when made, or followed after",
        means = { created = "copied when the copy is made, then left alone",
          followed = "changes on the writing side follow within seconds" } },
      { name = "defaults", kind = "choice", default = "target",
        values = { "target", "source" }, phase = "run",
        desc = "whose hold on the copy where a topic sets nothing",
        means = { target = "the target cluster's own defaults",
          source = "the source cluster's, written into the copy" } },
      { name = "acls", kind = "choice", default = "none",
        values = { "none", "copied" }, phase = "run",
        desc = "whether the source's ACLs are copied to the target",
        means = { none = "they are somebody else's",
          copied = "all of them, groups' and prefixes' too, topics under their "
            .. "names there; what is missing is added, nothing taken away" } },
      { name = "start", kind = "choice", default = "earliest",
        values = { "earliest", "latest" }, phase = "run",
        desc = "copy from the earliest record on, or only what is written after "
          .. "the bridge is opened" },
      { name = "rate", kind = "rate", phase = "run",
        desc = "bytes it may read per second, such as \"20MiB/s\"" },
      { name = "engine", kind = "choice", default = "tranship",
        values = { "tranship", "mirrormaker2" }, phase = "run",
        desc = "what copies" },
      { name = "mirrormaker2", kind = "table", phase = "run",
        desc = "a MirrorMaker 2 flow that it takes over, or whose clients it "
          .. "serves", fields = MIRRORMAKER2 },
      { name = "on", kind = "kubernetes", phase = "run",
        desc = "the Kubernetes where the copying is a Deployment; default: a "
          .. "process on this machine" },
      { name = "replicas", kind = "count", min = 1, phase = "run",
        desc = "pods there, which divide the partitions; default: 1" },
      { name = "image", kind = "text", phase = "run",
        desc = "of the pods there; default: tranship:VERSION" },
    },
  },
  step = {
    desc = "one thing that must be true afterwards, or be seen",
    fields = {
      { name = "ensure", kind = "goals", phase = "run",
        desc = "the goal, or several in order" },
      { name = "check", kind = "questions", phase = "check",
        desc = "is it already so? reads only" },
      { name = "plan", kind = "function", phase = "plan",
        desc = "what would change; default: apply, recorded" },
      { name = "apply", kind = "function", phase = "run",
        desc = "makes it so; may start from any half-done state" },
      VERIFY,
      { name = "undo", kind = "function", phase = "undo",
        desc = "takes it back; may return the goal that does" },
      NEEDS,
      { name = "when", kind = "condition", phase = "check",
        desc = "false skips the step" },
      { name = "optional", kind = "flag", default = false, phase = "declare",
        desc = "skipped counts as met for steps that need it" },
      { name = "retry", kind = "retry", phase = "run",
        desc = "more tries after errors that may pass: a number or "
          .. "{ times, wait, up_to }" },
      TIMEOUT,
      { name = "steady", kind = "duration", phase = "run",
        desc = "how long verify must hold unbroken" },
      { name = "good_for", kind = "duration", phase = "run",
        desc = "how long the proof counts; default: until resume" },
      APPROVE,
      { name = "on_failure", kind = "on_failure", default = "stop",
        phase = "run", desc = "stop, ask, go on, undo this, undo all, "
          .. "undo_to(step) or rescue { ... }" },
      { name = "lasts", kind = "choice", values = { "run" }, phase = "run",
        desc = "a loan: undone on every way out" },
      { name = "irreversible", kind = "text", phase = "declare",
        desc = "why there is no undo" },
      { name = "takes", kind = "duration", phase = "declare",
        desc = "estimate, for people" },
      TAGS, NOTE,
      { name = "window", kind = "any", desc = "allowed outside the window",
        unbuilt = "windows come later" },
    },
  },
  parallel = {
    desc = "steps that may overlap",
    fields = {
      { name = "at_once", kind = "count", min = 1, phase = "run",
        desc = "how many at the same time; default: all" },
      { name = "on_first_failure", kind = "choice", phase = "run",
        values = { "finish running, start no more", "cancel running" },
        default = "finish running, start no more",
        desc = "what becomes of the others" },
    },
  },
  point_of_no_return = {
    desc = "a line that no automatic undo crosses",
    fields = {
      setmetatable({ required = true }, { __index = APPROVE }),
      NEEDS, VERIFY, TIMEOUT, TAGS, NOTE,
    },
  },
  goal = {
    desc = "a recipe: five questions about one subject",
    fields = {
      { name = "takes", kind = "takes", default = {}, phase = "declare",
        desc = "its arguments, in order: { a.workload \"app\", ... }" },
      { name = "subject", kind = "any", phase = "declare",
        desc = "what it is about; default: the first argument" },
      { name = "check", kind = "function", required = true, phase = "check",
        desc = "is it already so? reads only" },
      { name = "plan", kind = "function", phase = "plan",
        desc = "what would change; default: apply, recorded" },
      { name = "apply", kind = "function", phase = "run",
        desc = "makes it so; may start from any half-done state" },
      { name = "verify", kind = "function", phase = "run",
        desc = "is it really so?" },
      { name = "undo", kind = "function", phase = "undo",
        desc = "takes it back; may return the goal that does" },
      { name = "irreversible", kind = "text", phase = "declare",
        desc = "why there is no undo" },
    },
  },
  rescue = {
    desc = "steps that run when the step above failed",
    fields = {
      { name = "next", kind = "choice", values = { "retry", "stop", "go on" },
        default = "stop", phase = "run", desc = "what follows them" },
    },
  },
  scram = {
    desc = "a user of the cluster, by SCRAM",
    fields = {
      { name = "user", position = 1, kind = "text", required = true,
        desc = "its name" },
      { name = "password", position = 2, kind = "secret", required = true,
        desc = "a secret parameter" },
      { name = "mechanism", kind = "choice", default = "SCRAM-SHA-512",
        values = { "SCRAM-SHA-512", "SCRAM-SHA-256" }, desc = "which SCRAM" },
    },
  },
  plain = {
    desc = "a user of the cluster, by SASL PLAIN",
    fields = {
      { name = "user", position = 1, kind = "text", required = true,
        desc = "its name" },
      { name = "password", position = 2, kind = "secret", required = true,
        desc = "a secret parameter" },
    },
  },
  certificate = {
    desc = "a client certificate",
    fields = {
      { name = "cert", position = 1, kind = "any", required = true,
        desc = "PEM text or a secret parameter" },
      { name = "key", position = 2, kind = "secret", required = true,
        desc = "a secret parameter" },
      { name = "key_password", kind = "secret",
        desc = "opens the key; a secret parameter" },
    },
  },
  token = {
    desc = "a bearer token, by SASL OAUTHBEARER",
    fields = {
      { name = "command", position = 1, kind = "list", required = true,
        desc = "a program and its arguments; what it prints is the token" },
    },
  },
}

--- Sub-tables that have fields of their own.
M.retry = {
  { name = "times", position = 1, kind = "count", min = 1, required = true,
    desc = "more tries after the first" },
  { name = "wait", kind = "duration", default = "5s",
    desc = "before the first of them; doubled and jittered" },
  { name = "up_to", kind = "duration", default = "1m",
    desc = "the longest wait" },
}

--- Words that declare, in the order of the reference.
M.declaring = { "runbook", "params", "kubernetes", "cluster", "workload",
  "bridge", "step", "parallel", "point_of_no_return" }
--- Words that build values.
M.building = { "goal", "undo_to", "rescue", "any", "scram", "plain",
  "certificate", "token", "a", "backup", "restore", "gitops_paused" }

return M
