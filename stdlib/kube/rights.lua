--- What whoever logs in may do on a Kubernetes, asked of its API server
-- (SelfSubjectAccessReview), everything at once.

local effect = require "base.effect"
local question = require "base.question"
local task = require "vm.task"

---@class tranship.Kubernetes
local M = {}

local ALL_AT_ONCE = 8

--- Words for what many runbooks need, as rights.
local WORDS = {
  ["move workloads"] = { "get,list Deployment", "get,patch Deployment/scale",
    "list ReplicaSet", "list Pod", "get Pod/log" },
  ["run a bridge"] = { "get,create,patch,delete Deployment",
    "get,create,patch,delete ConfigMap", "get,create,patch,delete Secret",
    "list Pod", "get Pod/log" },
}

--- "get,patch Deployment/scale" as one right per verb.
local function add_right(list, text)
  local verbs, kind, subresource = text:match "^([%l,]+) ([^/%s]+)/?(%l*)$"
  if not verbs then return false end
  for verb in verbs:gmatch "%l+" do
    list[#list + 1] = { verb = verb, kind = kind,
      subresource = subresource ~= "" and subresource or nil }
  end
  return true
end

local function unknown_right(text)
  local known = {}
  for word in pairs(WORDS) do known[#known + 1] = '"' .. word .. '"' end
  table.sort(known)
  return ("a right is \"VERB[,VERB] KIND[/SUBRESOURCE]\", or %s; not %q")
    :format(table.concat(known, ", "), tostring(text))
end

local function rights_of(words)
  local list = {}
  for _, word in ipairs(words) do
    for _, text in ipairs(WORDS[word] or { word }) do
      if type(text) ~= "string" or not add_right(list, text) then
        error(unknown_right(text), 3)
      end
    end
  end
  return list
end

local function text_of(right)
  return ("%s %s%s"):format(right.verb, right.kind,
    right.subresource and "/" .. right.subresource or "")
end

--- Those of the rights that are missing, as texts.
local function missing_of(self, rights, namespace)
  local missing, calls = {}, {}
  for at, right in ipairs(rights) do
    calls[at] = function()
      local answer, why = self:can_i(right.verb, right.kind,
        { subresource = right.subresource, namespace = namespace })
      if not answer then error(why, 0) end
      missing[at] = not answer.ok and text_of(right) or false
      return true
    end
  end
  local done, why = task.together(calls, { at_once = ALL_AT_ONCE })
  if not done then return nil, why end
  local list = {}
  for at = 1, #rights do
    if missing[at] then list[#list + 1] = missing[at] end
  end
  return list
end

--- Whether whoever logs in has these rights: words such as "move workloads", or
-- "VERB[,VERB] KIND[/SUBRESOURCE]" as in "get,list kafkas.kafka.strimzi.io";
-- `namespace` where it is another than the declared one. All that are missing
-- are named together.
---@async
---@param words string[]  and namespace
---@return tranship.Answer?, tranship.Err?
function M:rights(words)
  words = type(words) == "table" and words or { words }
  local rights = rights_of(words)
  local list = table.move(words, 1, #words, 1, {})
  local namespace = words.namespace
  local title = ("%s: may %s"):format(self.name, table.concat(list, ", "))
  return question.defer(title, function()
    return effect.observe(("kubernetes/%s/rights"):format(self.name), function()
      local missing, why = missing_of(self, rights, namespace)
      if not missing then return nil, why end
      return { ok = #missing == 0, want = list, seen = { missing = missing },
        text = #missing > 0 and ("%s: %s may not %s (in namespace %s)"):format(
          self.name, self._about.user, table.concat(missing, ", "),
          self:_namespace(namespace)) or title }
    end)
  end)
end

return M
