variable "region" {
  description = "Region of the functions, the bucket and the queues. Take the one that the warehouse is in: the load reads from there."
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
    error_message = "settings names a function or a variable that infra/functions.json does not list, or a secret: those go to Secrets Manager."
  }
}

variable "schedules" {
  description = "Other times than those of infra/functions.json: function → cron expression of five fields, UTC; the last is *, since AWS counts weekdays differently."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for s in values(var.schedules) : can(regex("^([0-9*/,-]+ ){4}[*]$", s))])
    error_message = "A schedule has five fields of digits and * / , - and the last is *."
  }
}

variable "prefix" {
  description = "In front of the names of what is made. The topics are named by the code and are not prefixed: two deployments need two accounts or two regions."
  type        = string
  default     = "millrace"
}

variable "stage_bucket" {
  description = "Name of the bucket that is made for the stage; empty = PREFIX-stage-ACCOUNT-REGION."
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

variable "snowflake_reader" {
  description = "Who reads the stage for Snowflake: STORAGE_AWS_IAM_USER_ARN and STORAGE_AWS_EXTERNAL_ID of DESC INTEGRATION. Null until the integration is there."
  type        = object({ user_arn = string, external_id = string })
  default     = null
}

variable "packages" {
  description = "Folder with what `make package CLOUD=aws` wrote, NAME-ARCHITECTURE.zip each; relative to this folder."
  type        = string
  default     = "../../bin/package/aws"
}

variable "architecture" {
  description = "arm64, or amd64 where a function was packaged with ARCH=amd64."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "amd64"], var.architecture)
    error_message = "architecture is arm64 or amd64."
  }
}

variable "reserve_concurrency" {
  description = "Hold max_instances of the map for each function, so that a vendor never sees more. False in accounts whose limit of concurrent executions is small (new ones have 10): then queues alone bound it, at no less than 2."
  type        = bool
  default     = true
}

variable "secret_lifetime" {
  description = "How long a function uses a secret before it reads it again, a Go duration: how soon a rotation is seen."
  type        = string
  default     = "5m"
}

variable "chain" {
  description = "MILLRACE_CHAIN: empty = the topics and queues of this account; pubsub:PROJECT = Google Pub/Sub, with google_credentials."
  type        = string
  default     = ""
}

variable "google_credentials" {
  description = "With chain = pubsub:…: the credential file that infra/gcp gives for this account (output aws_credential_file). It holds no secret."
  type        = string
  default     = ""

  validation {
    condition     = startswith(var.chain, "pubsub:") == (var.google_credentials != "")
    error_message = "google_credentials goes with chain = pubsub:PROJECT."
  }
}

variable "push_account" {
  description = "With chain = pubsub:…: the service account that Pub/Sub pushes messages as (output push_account of infra/gcp). Each function but load then has a function URL that takes its tokens and no others."
  type        = string
  default     = ""

  validation {
    condition     = startswith(var.chain, "pubsub:") == (var.push_account != "")
    error_message = "push_account goes with chain = pubsub:PROJECT."
  }
}

variable "alert_emails" {
  description = "Addresses that alarms go to; each must confirm the mail that AWS sends it. None: the alarms are made, and show in the console only."
  type        = set(string)
  default     = []
}

variable "runbooks" {
  description = "Address that a runbook's file name is added to, for the text of alarms."
  type        = string
  default     = "https://github.com/millrace-data/millrace/blob/main/infra/runbooks"
}

variable "silence_hours" {
  description = "Hours without one committed slice before the alarm nothing-loaded. Longer than the longest time between two schedules; at most 168."
  type        = number
  default     = 30
}

variable "vpc_cidr" {
  description = "Addresses of the network that functions with egress = static run in. It is connected to nothing of yours."
  type        = string
  default     = "10.8.0.0/24"
}
