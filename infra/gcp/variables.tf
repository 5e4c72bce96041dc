variable "project" {
  description = "Id of the Google Cloud project that everything is made in."
  type        = string
}

variable "region" {
  description = "Region of the functions, the bucket, the schedules and the address. Take the one that the warehouse is in: the load reads from there."
  type        = string
}

variable "warehouse" {
  description = "MILLRACE_WAREHOUSE, as in snowflake:MILLRACE_{FUNCTION}@ACCOUNT/RAW?warehouse=…; {FUNCTION} becomes the function's name in capitals. It names secrets (private_key_env=VARIABLE) and holds none; see infra/README.md."
  type        = string

  validation {
    condition     = startswith(var.warehouse, "snowflake:") && !can(regex("snowflake:[^@]*:[^@]*@", var.warehouse))
    error_message = "warehouse begins with snowflake: and has no password in it."
  }
}

variable "warehouse_secrets" {
  description = "Variables that the warehouse names as secrets, such as SNOWFLAKE_PRIVATE_KEY; a secret is made for each. None with workload identity."
  type        = set(string)
  default     = []
}

variable "functions" {
  description = "Names of the functions to deploy, as in infra/functions.json. load comes with them."
  type        = set(string)

  validation {
    condition     = length(setsubtract(var.functions, [for n, f in local.map : n if n != "load"])) == 0
    error_message = "functions may name functions of infra/functions.json only, without load."
  }
}

variable "unused_secrets" {
  description = "Secrets of infra/functions.json that the deployed functions do without. Salesforce is logged in to by a client secret or by a private key: name the one that is not used."
  type        = set(string)
  default     = ["SALESFORCE_PRIVATE_KEY"]
}

variable "settings" {
  description = "Variables of each function that are not secret: function → variable → value. Which there are says infra/functions.json, which are required says the connector's Config."
  type        = map(map(string))
  default     = {}

  validation {
    condition     = alltrue([for n, vars in var.settings : length(setsubtract(keys(vars), try(local.map[n].environment, []))) == 0])
    error_message = "settings names a function or a variable that infra/functions.json does not list, or a secret: those go to Secret Manager."
  }
}

variable "schedules" {
  description = "Other times than those of infra/functions.json: function → cron expression of five fields, UTC."
  type        = map(string)
  default     = {}
}

variable "prefix" {
  description = "In front of the names of what is made, so that two deployments fit into one project. The topics are named by the code and are not prefixed: two deployments in one project share them unless they use two projects."
  type        = string
  default     = "millrace"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,10}$", var.prefix))
    error_message = "prefix is 2 to 11 lower-case letters, digits and '-': names of service accounts are at most 30 long."
  }
}

variable "stage_bucket" {
  description = "Name of the bucket that is made for the stage; empty = PROJECT-PREFIX-stage."
  type        = string
  default     = ""
}

variable "stage_days" {
  description = "Days that loaded parts and manifests are kept. Must be longer than the longest pause of a slice (a month) and than you want to replay arrivals."
  type        = number
  default     = 90

  validation {
    condition     = var.stage_days >= 35
    error_message = "stage_days is at least 35: a slice may be paused for a month, and its parts must still be there."
  }
}

variable "stage_readers" {
  description = "Who else reads the stage, as IAM members: the service account of Snowflake's storage integration (DESC INTEGRATION shows it), as serviceAccount:…"
  type        = set(string)
  default     = []
}

variable "packages" {
  description = "Folder with what `make package CLOUD=gcp` wrote, NAME.zip each; relative to this folder."
  type        = string
  default     = "../../bin/package/gcp"
}

variable "runtime" {
  description = "Go runtime of Cloud Run functions. Not older than the go line of go.mod."
  type        = string
  default     = "go126"
}

variable "secret_lifetime" {
  description = "How long a function uses a secret before it reads it again, a Go duration: how soon a rotation is seen."
  type        = string
  default     = "5m"
}

variable "alert_emails" {
  description = "Addresses that alerts go to. None: the alert policies are made, and show in the console only."
  type        = set(string)
  default     = []
}

variable "runbooks" {
  description = "Address that a runbook's file name is added to, for the text of alerts."
  type        = string
  default     = "https://github.com/millrace-data/millrace/blob/main/infra/runbooks"
}

variable "silence_hours" {
  description = "Hours without one committed slice before the alert nothing-loaded; longer than the longest time between two schedules of this deployment. At most 23, which is as far as Cloud Monitoring looks back for absence; 0 = no such alert, for deployments that load once a day: Snowflake's own alert table_late (infra/snowflake) sees those."
  type        = number
  default     = 23

  validation {
    condition     = var.silence_hours >= 0 && var.silence_hours <= 23
    error_message = "silence_hours is 0 to 23."
  }
}

variable "followers" {
  description = "What else, of your own, starts when a table was loaded: name → URL and the filter on attributes (function, table, slice) of topic millrace-loaded. The URL must accept tokens of the push service account (output push_account)."
  type = map(object({
    url    = string
    filter = optional(string, "")
  }))
  default = {}

  validation {
    condition     = length(setintersection(keys(var.followers), keys(local.map))) == 0
    error_message = "followers are your own: those of infra/functions.json are in functions."
  }
}

variable "aws_publishers" {
  description = "AWS roles that may publish to the topics by workload identity federation: role name → AWS account id. For functions that run on Lambda and chain through Pub/Sub."
  type        = map(string)
  default     = {}
}

variable "remote" {
  description = "Functions that run on Lambda and chain through Pub/Sub: function → its function URL and the audience of tokens, as output function_urls of infra/aws has them."
  type        = map(object({ url = string, audience = string }))
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.remote), var.functions)) == 0
    error_message = "A function runs on one cloud: it is in functions or in remote."
  }
}
