<?php
// The cheapest honest consumer: decodes its jobs and says yes.
json_decode($_POST['jobs'], true);
header('Code: 200');
