--- Goals about a Kubernetes, as its methods.

---@class tranship.Kubernetes
local M = {}

--- Goal: a Secret of another Kubernetes is here, too, without passing a disk:
-- `ocp4:secret_copied { "migration", from = ocp3, as = "source-migration" }`.
function M:secret_copied(args)
  local full = { kubernetes = self }
  for key, value in pairs(args or {}) do full[key] = value end
  if full.name == nil then full.name = full[1] end
  full[1] = nil
  return require("runbook.goal").make(require "runbook.goal.secret_copied", full)
end

return M
